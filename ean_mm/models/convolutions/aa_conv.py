"""The attention-augmented convolution (arXiv 1904.09925): some channels from dot-product attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ...structures.checks import require_one_of, require_whole
from .augmented_conv import AugmentedConv2d, PaddingMode, ProjectedAttention

POSITIONS = ('fixed', 'none')


class RelativeAttention(ProjectedAttention):
    """Multi-head dot-product attention that knows how far apart two positions are.

    Head by head, ``softmax((Q K^T + S_H + S_W) / sqrt(k/h)) V`` with ``S_W[i, j] = q_i . r_W[x_j - x_i]`` and ``S_H`` likewise
    over rows: one table per axis, shared by the heads, drawn from N(0, h/k).
    Source: Bello et al., arXiv:1904.09925. Differs: the start of the tables is our choice.

    Args:
        in_channels: as all up to ``bias`` in ``ProjectedAttention``.
        key_channels: k.
        value_channels: v.
        num_heads: h.
        bias: whether both convolutions have a bias.
        feature_size: (H, W) that the tables are made for; None leaves the relative terms out, and any size will do.

    Shape: x: (N, C, H, W); y: (N, v, H, W).
    Raises: ValueError if a map of another size than ``feature_size`` arrives.

    >>> RelativeAttention(6, 8, 4, 2, feature_size=(3, 5))(torch.ones(1, 6, 3, 5)).shape
    torch.Size([1, 4, 3, 5])
    """

    def __init__(
        self,
        in_channels: int,
        key_channels: int,
        value_channels: int,
        num_heads: int,
        bias: bool = True,
        feature_size: tuple[int, int] | None = None,
    ):
        super().__init__(in_channels, key_channels, value_channels, num_heads, bias)
        self.feature_size = feature_size
        self.scale = (key_channels // num_heads) ** -0.5
        if feature_size is not None:
            height, width = feature_size
            self.row_table = nn.Parameter(torch.randn(2 * height - 1, key_channels // num_heads) * self.scale)
            self.column_table = nn.Parameter(torch.randn(2 * width - 1, key_channels // num_heads) * self.scale)

    def forward(self, x: Tensor) -> Tensor:
        is_checked = self.feature_size is not None and not torch.jit.is_tracing()  # there a size is no number
        if is_checked and x.shape[2:] != self.feature_size:
            raise ValueError(
                f'`x` must be of the size {self.feature_size} that the tables of relative positions are made for, but got '
                f"{tuple(x.shape[2:])!r}; name it as `feature_size`, or use position='none' or ean_mm.EAAConv2d."
            )
        return super().forward(x)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        queries = queries.transpose(-2, -1) * self.scale
        if self.feature_size is None:
            logits = queries @ keys
        else:
            positions = self._relate_positions(queries, self.feature_size)
            # one batch of heads and images: the product is added to the map of positions without a third one
            logits = torch.baddbmm(*(part.flatten(0, 1) for part in (positions, queries, keys))).view_as(positions)
        # in this order, because the map's gradient then has the map's layout
        return (logits.softmax(-1) @ values.transpose(-2, -1)).transpose(-2, -1)

    def _relate_positions(self, queries: Tensor, size: tuple[int, int]) -> Tensor:
        """S_H + S_W, (N, h, n, n), for scaled queries (N, h, n, k / h)."""
        height, width = size
        grid = queries.unflatten(-2, size)  # (N, h, H, W, k / h)
        rows = torch.einsum('nhyxk,ykj->nhyxj', grid, _by_position(self.row_table, height))
        columns = torch.einsum('nhyxk,xkj->nhyxj', grid, _by_position(self.column_table, width))
        # contiguous while they are small, so that the map of their sums is and need not be copied
        sums = rows.contiguous().unsqueeze(-1) + columns.contiguous().unsqueeze(-2)
        return sums.flatten(-2).flatten(-3, -2)


def _by_position(table: Tensor, length: int) -> Tensor:
    """The table (2 L - 1, k) of distances from 1 - L as (L, k, L): [i, :, j] is the entry for j - i."""
    return table.unfold(0, length, 1).flip(0)


@MODELS.register_module()
class AAConv2d(AugmentedConv2d):
    """Attention-augmented convolution: ``concat[conv(x), MHA(x)]``, the last v of F_out channels by dot-product attention.

    The attention is ``RelativeAttention``: its map has n^2 entries per head, n = H*W. As ``conv_cfg`` of an MM network it
    augments every 3x3 convolution of stride 1 and one group, dilated or not, and is a plain convolution elsewhere. A norm
    follows as the network's ``norm_cfg`` says.
    Source: Bello et al., arXiv:1904.09925. Differs: implementations disagree on the convolution that gives queries, keys and
    values: it is 1x1 here, with a bias if ``bias`` says so; convolutions with a stride stay plain; the defaults of kappa,
    upsilon and the number of heads are our choice.

    Args:
        in_channels: F_in, as all up to ``min_key_channels_per_head`` in ``AugmentedConv2d``.
        out_channels: F_out, convolution and attention together.
        kernel_size: as in ``nn.Conv2d``; other than 3x3 is plain.
        stride: as in ``nn.Conv2d``; other than 1 is plain.
        padding: as in ``nn.Conv2d``; must keep the size where it is augmented.
        dilation: of the convolution; the attention sees every position.
        groups: as in ``nn.Conv2d``; more than 1 is plain.
        bias: whether the convolution, and both of the attention, have a bias.
        padding_mode: of the convolution.
        kappa: k / F_out >= 0.
        upsilon: v / F_out, with 0 < v < F_out.
        num_heads: h >= 1, a divisor of k and v.
        min_key_channels_per_head: least k / h, 20 in AA-Net; a smaller ``kappa`` gives that.
        position: 'fixed', relative terms from tables made for one feature size, or 'none', without them and for any size.
        feature_size: with 'fixed', the size of the map that arrives: one number, (H, W), or such by the number of output
            channels, ``{64: 32, 128: 16, 256: 8, 512: 4}``, which tell a layer its stage in a ResNet.

    Shape: x: (N, F_in, H, W); y: (N, F_out, H, W) where augmented, (H, W) = ``feature_size`` with 'fixed'.
    Cost: where augmented, per image and call, n*(9*F_in*(F_out - v) + F_in*(2*k + v) + v*v) + n*n*(k + v) MACs and n*k + h*n*n
        element-wise operations; relative terms add n*k*(H + W) MACs and h*n*n operations.
        9*F_in*(F_out - v) + F_in*(2*k + v) + v*v + (2*H + 2*W - 2)*k/h parameters, and F_out + 2*k + v biases.
    Raises: ValueError if an argument is not as above, 'fixed' has no size for the layer, or a map of another size arrives.

    >>> conv = AAConv2d(8, 16, 3, padding=1, num_heads=2, feature_size=4)
    >>> conv(torch.ones(1, 8, 4, 4)).shape, conv.key_channels, conv.value_channels
    (torch.Size([1, 16, 4, 4]), 40, 4)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = 'zeros',
        kappa: float = 0.25,
        upsilon: float = 0.25,
        num_heads: int = 8,
        min_key_channels_per_head: int = 20,
        position: str = 'fixed',
        feature_size: int | tuple[int, int] | dict | None = None,
    ):
        # fmt: off
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            kappa, upsilon, num_heads, min_key_channels_per_head,
        )
        # fmt: on
        require_one_of('position', position, POSITIONS)
        if self.is_augmented:
            size = None if position == 'none' else _size_for(out_channels, feature_size)
            self.attention = RelativeAttention(
                in_channels, self.key_channels, self.value_channels, num_heads, bias, feature_size=size
            )


def _size_for(out_channels: int, feature_size: int | tuple[int, int] | dict | None) -> tuple[int, int]:
    """The (H, W) of the map that a convolution of ``out_channels`` channels sees."""
    size = feature_size
    if isinstance(feature_size, dict):  # in a ticket, which is JSON, keys are text
        size = feature_size.get(out_channels, feature_size.get(str(out_channels)))
    sides = (size, size) if isinstance(size, int) else size
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        raise ValueError(
            f'`feature_size` must be one number, (H, W), or such by output channels with an entry for {out_channels}, where '
            f"position is 'fixed', but got {feature_size!r}; position='none' leaves the relative terms out."
        )
    height, width = (require_whole('feature_size', side, 1) for side in sides)
    return height, width

"""The convolution augmented by efficient attention (after arXiv 2206.01821): linear in the number of positions."""

from __future__ import annotations

from torch import Tensor

from ...registry import MODELS
from ..attentions.efficient import NORMALIZATIONS, read_summary
from .augmented_conv import AugmentedConv2d, PaddingMode, ProjectedAttention


class SummaryAttention(ProjectedAttention):
    """Multi-head efficient attention: head by head, ``rho_q(Q) @ (rho_k(K).T @ V)``.

    rho_q is a softmax over the channels of each query, rho_k one over the positions of each key channel.
    Source: Shen et al., arXiv:1812.01243.

    >>> SummaryAttention(6, 8, 4, 2)(torch.ones(1, 6, 3, 5)).shape
    torch.Size([1, 4, 3, 5])
    """

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return read_summary(*NORMALIZATIONS['softmax'](queries, keys), values)


@MODELS.register_module()
class EAAConv2d(AugmentedConv2d):
    """A convolution augmented by efficient attention: ``concat[conv(x), EA(x)]``, the last v of F_out channels by attention.

    ``AAConv2d`` with ``SummaryAttention`` in place of the n x n map, n = H*W: for maps of any size. As ``conv_cfg`` of an MM
    network it augments every 3x3 convolution of stride 1 and one group, dilated or not, and is a plain convolution elsewhere.
    Source: Zhang and Zhu, arXiv:2206.01821, whose abstract puts efficient self-attention into the augmented convolution of
    arXiv:1904.09925; no more of it could be confirmed. Differs, or may: which efficient attention (arXiv:1812.01243, with
    softmax), heads and key floor as in AA-Net, which convolutions are augmented, and that there is no relative term, for want
    of an n x n map to add it to, are our choice.

    Args:
        in_channels: F_in, as all others in ``AugmentedConv2d``.
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
        min_key_channels_per_head: least k / h; a smaller ``kappa`` gives that.

    Shape: x: (N, F_in, H, W); y: (N, F_out, H, W) where augmented, with H, W >= 1.
    Cost: where augmented, per image and call, n*(9*F_in*(F_out - v) + F_in*(2*k + v) + v*v) + 2*n*k*v/h MACs and 2*n*k
        element-wise operations; 9*F_in*(F_out - v) + F_in*(2*k + v) + v*v parameters, and F_out + 2*k + v biases.
    Raises: ValueError if an argument is not as above.

    >>> conv = EAAConv2d(8, 16, 3, padding=1, num_heads=2)
    >>> conv(torch.ones(1, 8, 4, 4)).shape, conv.is_augmented, EAAConv2d(8, 16, 3, stride=2, padding=1).is_augmented
    (torch.Size([1, 16, 4, 4]), True, False)
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
    ):
        # fmt: off
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            kappa, upsilon, num_heads, min_key_channels_per_head,
        )
        # fmt: on
        if self.is_augmented:
            self.attention = SummaryAttention(in_channels, self.key_channels, self.value_channels, num_heads, bias)

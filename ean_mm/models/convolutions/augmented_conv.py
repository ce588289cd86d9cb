"""What attention-augmented convolutions share: which convolutions are augmented, and how channels are divided."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ...structures.checks import require_number, require_whole
from ..attentions.efficient import split_heads
from ..hidden_level import HiddenLevel

PaddingMode = Literal['zeros', 'reflect', 'replicate', 'circular']
# What an MM network says of its convolutions: arguments of ``nn.Conv2d``.
PLAIN_ARGUMENTS = (
    *('in_channels', 'out_channels', 'kernel_size', 'stride', 'padding', 'dilation', 'groups', 'bias', 'padding_mode'),
)


class ProjectedAttention(nn.Module):
    """Self-attention over the positions of a map, between two 1x1 convolutions.

    Queries, keys and values come from one 1x1 convolution of x, ``attend`` relates them head by head, and the heads side by
    side pass a 1x1 convolution W_O: (v, v). No shortcut.

    Args:
        in_channels: C, the width of the map.
        key_channels: k, the width of queries and of keys, over all heads.
        value_channels: v, the width of values and of the result.
        num_heads: h, a divisor of k and v.
        bias: whether both convolutions have a bias.

    Shape: x: (N, C, H, W); y: (N, v, H, W).
    """

    reads = 'map'
    has_carry = False

    def __init__(self, in_channels: int, key_channels: int, value_channels: int, num_heads: int, bias: bool = True):
        super().__init__()
        self.num_heads = num_heads
        self.widths = (key_channels, key_channels, value_channels)
        self.qkv = nn.Conv2d(in_channels, sum(self.widths), 1, bias=bias)
        self.projection = nn.Conv2d(value_channels, value_channels, 1, bias=bias)

    def split(self) -> tuple[None, nn.Module]:
        """As ``SharedAttention.split``: no part is the same for every image."""
        return None, self

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """The values (N, h, v / h, n) as the queries find them by the keys, both (N, h, k / h, n)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).split(self.widths, 1)
        attended = self.attend(*(split_heads(part, self.num_heads) for part in parts))
        return self.projection(attended.flatten(1, 2).unflatten(2, x.shape[2:]))


class AugmentedConv2d(HiddenLevel):
    """A convolution whose last output channels come from attention, where it is augmented; else a plain one.

    It is augmented if the kernel is 3x3, the stride 1 and the groups 1, dilated or not. With another stride the attention's
    map would not have the convolution's size; other kernels and grouped convolutions are plain by our choice. Those build no
    attention and compute what ``nn.Conv2d`` does. The state dict shows ``weight`` and ``bias`` where ``nn.Conv2d`` has them,
    beside ``attention.*``. It is no subclass of ``nn.Conv2d``: whoever fuses a norm into one finds only the convolution
    inside, which no norm follows.

    Args:
        in_channels: F_in, as all up to ``padding_mode`` in ``nn.Conv2d``.
        out_channels: F_out, convolution and attention together.
        kernel_size: see above.
        stride: see above.
        padding: of an augmented convolution, what keeps the size of its input: that of ``dilation``, or 'same'.
        dilation: of the convolution; the attention sees every position.
        groups: see above.
        bias: whether the convolution, and both of the attention, have a bias.
        padding_mode: of the convolution.
        kappa: k / F_out >= 0.
        upsilon: v / F_out.
        num_heads: h >= 1, a divisor of k and v.
        min_key_channels_per_head: least k / h >= 1; a smaller ``kappa`` gives that.

    Attributes:
        key_channels: k, ``kappa * F_out`` rounded, and at least what the floor asks; 0 in a plain convolution.
        value_channels: v, ``upsilon * F_out`` rounded; 0 in a plain convolution.
        attention: the attention, None in a plain convolution.

    Raises:
        ValueError: if an argument is not as above, or v does not lie between 0 and F_out.
    """

    hidden_child = 'conv'
    attention: ProjectedAttention | None

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
        super().__init__()
        require_number('kappa', kappa, 0, rule='a number of at least 0')
        require_number('upsilon', upsilon, 0, 1, rule='a number between 0 and 1')
        require_whole('num_heads', num_heads, 1)
        require_whole('min_key_channels_per_head', min_key_channels_per_head, 1)
        self.out_channels = out_channels
        self.key_channels = self.value_channels = 0
        if can_be_augmented(kernel_size, stride, groups):
            _check_size_is_kept(padding, dilation)
            self.key_channels = max(round(kappa * out_channels), num_heads * min_key_channels_per_head)
            self.value_channels = round(upsilon * out_channels)
            _check_channels(out_channels, self.key_channels, self.value_channels, num_heads, upsilon)
        conv_channels = out_channels - self.value_channels
        self.conv = nn.Conv2d(
            in_channels, conv_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        )
        self.attention = self.build_attention(in_channels, num_heads, bias) if self.is_augmented else None

    def build_attention(self, in_channels: int, num_heads: int, bias: bool) -> ProjectedAttention | None:
        """The attention of an augmented convolution; None where a constructor with further arguments builds it."""
        return None

    @property
    def is_augmented(self) -> bool:
        """Whether some channels come from attention."""
        return self.value_channels > 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y if self.attention is None else torch.cat((y, self.attention(x)), 1)


def can_be_augmented(kernel_size: int | tuple[int, ...], stride: int | tuple[int, ...], groups: int) -> bool:
    """Whether a convolution is augmented: 3x3, of stride 1 and one group."""
    return _pair(kernel_size) == (3, 3) and _pair(stride) == (1, 1) and groups == 1


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _check_size_is_kept(padding: int | tuple[int, int] | str, dilation: int | tuple[int, int]) -> None:
    if padding != 'same' and (isinstance(padding, str) or _pair(padding) != _pair(dilation)):
        raise ValueError(
            f'`padding` must be that of `dilation`, {dilation!r}, in an augmented 3x3 convolution, so that its map is as '
            f'large as the attention, but got {padding!r}.'
        )


def _check_channels(out_channels: int, key_channels: int, value_channels: int, num_heads: int, upsilon: float) -> None:
    if not 0 < value_channels < out_channels:
        raise ValueError(
            f'`upsilon` must give at least one of the {out_channels} channels to attention and leave one to the '
            f'convolution, but got {upsilon!r}, which gives {value_channels}.'
        )
    if key_channels % num_heads or value_channels % num_heads:
        raise ValueError(
            f'`num_heads` must divide the {key_channels} channels of keys and the {value_channels} of values, but got '
            f'{num_heads!r}; choose kappa and upsilon to fit the {out_channels} channels of the convolution.'
        )

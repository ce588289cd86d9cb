"""The adapter that lets attention take over the last channels of a convolution."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from .convolutions import ProjectedAttention
from .site_slot import CarryContext, SiteSlot


class AugmentedSlot(SiteSlot):
    """A convolution of a block; while the site is connected, its last v channels come from attention.

    The convolution keeps all F_out rows of its weight. Connected, the first F_out - v are used, and the others rest.

    Args:
        conv: the convolution that stood in the slot.
        attention: that of this site, or None where none was built.
        carries: the context of the backbone this site belongs to; nothing is carried.
    """

    def __init__(self, conv: nn.Conv2d, attention: ProjectedAttention | None, carries: CarryContext):
        super().__init__(conv, False, attention, carries)  # type: ignore[arg-type]

    @property
    def num_resting(self) -> int:
        conv, kept = cast(nn.Conv2d, self.child), self._num_kept
        return sum(tensor[kept:].numel() for tensor in (conv.weight, conv.bias) if tensor is not None)

    @property
    def _num_kept(self) -> int:
        """F_out - v."""
        values = 0 if self.attention is None else cast(ProjectedAttention, self.attention).widths[2]
        return cast(nn.Conv2d, self.child).out_channels - values

    def forward(self, x: Tensor) -> Tensor:
        return self.run_connected(x) if self.connected else self.child(x)

    def run_connected(self, x: Tensor) -> Tensor:
        """``concat[conv(x), attention(x)]``, whatever ``connected`` says."""
        conv, kept = cast(nn.Conv2d, self.child), self._num_kept
        bias = None if conv.bias is None else conv.bias[:kept]
        y = conv._conv_forward(x, conv.weight[:kept], bias)  # which knows the padding modes
        return torch.cat((y, cast(nn.Module, self.attention)(x)), 1)

"""One attention for several call sites."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from ..registry import MODELS, build_from


@MODELS.register_module()
class SharedAttention(BaseModule):
    """Own one attention module that several call sites use.

    ``forward(x)`` is the attention's; ``step(x, carry) -> (y, carry)`` hands a recurrent attention's state from site to
    site, and hands on an untouched ``carry`` for any other.
    Source: arXiv:2011.14058, section 3 (one module per stage).

    Args:
        attention: config of a registered attention; it is built with ``in_channels``.
        in_channels: C, the width of every call site.

    Shape: x, y: (N, C, H, W).
    Raises: ValueError if the attention is unknown or does not fit C.

    >>> shared = SharedAttention(attention=dict(type='ean_mm.SE'), in_channels=32)
    >>> x = torch.ones(2, 32, 5, 5)
    >>> y, carry = shared.step(shared(x), None)
    """

    def __init__(self, attention: dict, in_channels: int, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.attention = build_from(MODELS, attention, 'attention', in_channels=in_channels)
        self.has_carry = hasattr(self.attention, 'step')

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x)

    def step(self, x: Tensor, carry: Any) -> tuple[Tensor, Any]:
        """Apply the attention and hand on its state; ``carry=None`` starts a sequence of sites."""
        if self.has_carry:
            return self.attention.step(x, carry)
        return self.attention(x), carry

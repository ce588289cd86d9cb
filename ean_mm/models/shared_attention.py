"""One attention for several call sites."""

from __future__ import annotations

import functools
import logging
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..registry import MODELS, build_from
from ..structures.checks import require_whole
from ..structures.shorten import shorten
from .attentions.base import ChannelAttention, changeable, is_recurrent, reads_of, step_from_mean
from .attentions.stacked import Stacked


@MODELS.register_module()
class SharedAttention(BaseModule):
    """Own one attention module that several call sites use.

    ``forward(x)`` is the attention's; ``step(x, carry) -> (y, carry)`` hands a recurrent attention's state from site to
    site, and hands on an untouched ``carry`` for any other. What either returns may be changed in place. ``reads`` is the
    attention's, 'map' for a module that does not say; see ``AttentionModule``.
    Source: arXiv:2011.14058, section 3 (one module per stage).

    Args:
        attention: config of a registered attention; it is built with ``in_channels``.
        in_channels: C, the width of every call site.
        num_sites: how many sites use the module.
        init_cfg: an mmengine initialisation config.

    Shape: x, y: (N, C, H, W).
    Raises: ValueError if the attention is unknown, does not fit C, or is ``bound_to`` what several sites cannot share.

    >>> shared = SharedAttention(attention=dict(type='ean_mm.SE'), in_channels=32)
    >>> x = torch.ones(2, 32, 5, 5)
    >>> y, carry = shared.step(shared(x), None)
    """

    def __init__(self, attention: dict, in_channels: int, num_sites: int = 1, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        require_whole('num_sites', num_sites, 1)
        self.attention = build_from(MODELS, attention, 'attention', in_channels=in_channels)
        if num_sites > 1:
            self._check_it_can_be_shared(attention, num_sites)

    @property
    def has_carry(self) -> bool:
        """Whether the attention hands on a state."""
        return is_recurrent(self.attention)

    @property
    def reads(self) -> str:
        """What the attention sees of its input: 'map', 'mean' or 'nothing'."""
        return reads_of(self.attention)

    def _check_it_can_be_shared(self, cfg: dict, num_sites: int) -> None:
        bound_to = getattr(self.attention, 'bound_to', '')
        if bound_to:
            raise ValueError(
                f"`sharing` must be 'block' with {cfg['type']}, which is bound to {bound_to}, "
                f'but got one module for {num_sites} sites.'
            )
        if any(isinstance(module, _BatchNorm) for module in self.attention.modules()):
            _warn_of_mixed_statistics(shorten(dict(cfg)))

    def forward(self, x: Tensor, in_place: bool = False) -> Tensor:
        """Apply the attention; ``in_place`` lets one that multiplies channels change ``x`` itself."""
        if in_place and getattr(type(self.attention), 'forward', None) is ChannelAttention.forward:
            return self.attention(x, in_place=True)
        return changeable(self.attention(x))

    def step(self, x: Tensor, carry: Any) -> tuple[Tensor, Any]:
        """Apply the attention and hand on its state; ``carry=None`` starts a sequence of sites."""
        if not self.has_carry:
            return self(x), carry
        y, carry = self.attention.step(x, carry)
        return changeable(y), carry

    def step_from_mean(self, mean: Tensor, carry: Any) -> tuple[Tensor, Any]:
        """The gate, (N, C), that ``step`` multiplies a branch with these means by, and the state that it hands on.

        Only where ``reads`` is 'mean' or 'nothing'.
        """
        return step_from_mean(self.attention, mean, carry)

    def split(self) -> tuple[Tensor | None, nn.Module | None]:
        """The part that is the same for every image, and the rest, as one module; None where there is no such part.

        ``attention(x)`` is ``rest(x * constant[:, None, None])``. The rest is made of the modules themselves, not of copies.
        """
        if self.reads == 'nothing':
            return self.attention.constant_gate(), None
        return self.attention.split() if isinstance(self.attention, Stacked) else (None, self.attention)


@functools.cache  # once for each kind of attention, not once for each stage
def _warn_of_mixed_statistics(attention: str) -> None:
    print_log(
        f'{attention} holds batch norm: shared by several sites, its statistics mix the features of all of them; '
        "sharing='block' keeps them apart.",
        logger='current',
        level=logging.WARNING,
    )

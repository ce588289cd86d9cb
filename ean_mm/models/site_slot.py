"""The adapter that puts attention at the end of a residual branch without touching the block's code or keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .hidden_level import HiddenLevel
from .shared_attention import SharedAttention


class CarryContext:
    """What recurrent attentions hand from block to block during one forward pass; empty between passes."""

    def __init__(self) -> None:
        self._carries: dict[int, Any] = {}

    @contextmanager
    def open(self) -> Iterator[None]:
        """Start with no carry, and keep none afterwards, not even after an exception."""
        self._carries.clear()
        try:
            yield
        finally:
            self._carries.clear()

    def step(self, shared: SharedAttention, x: Tensor) -> Tensor:
        """Apply ``shared`` with the carry of its previous site in this pass."""
        y, self._carries[id(shared)] = shared.step(x, self._carries.get(id(shared)))
        return y


class SiteSlot(HiddenLevel):
    """The child of a block at which its branch ends, with the attention of the site when the site is connected.

    The attention is referred to, not owned: its parameters live once, under ``ean`` of the backbone. The state dict does
    not show this level, and attributes of the child (``weight``, ``num_features``) are read through it, so the block, mmcv's
    ``fuse_conv_bn``, mmengine's ``revert_sync_batchnorm`` and initialisers see the module they know.

    Args:
        child: the module that stood in the slot.
        comes_first: True if attention acts on the child's input, False if on its output.
        attention: the shared attention of this site, or None where none was built.
        carries: the context of the backbone this site belongs to.

    Attributes:
        connected: whether the attention acts.
        watcher: called with the branch that the attention is about to see, if one is set.
    """

    hidden_child = 'child'

    def __init__(self, child: nn.Module, comes_first: bool, attention: SharedAttention | None, carries: CarryContext):
        super().__init__()
        self.child = child
        self.comes_first = comes_first
        self.connected = False
        self.watcher: Callable[[Tensor], object] | None = None
        self._attention = (attention,)  # a tuple keeps the reference out of the module tree
        self._carries = carries

    @property
    def attention(self) -> SharedAttention | None:
        """The shared attention this site refers to."""
        return self._attention[0]

    @property
    def num_resting(self) -> int:
        """How many parameters of the child are not used while the site is connected."""
        return 0

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.comes_first:
            return self.child(self._attend(x), *args, **kwargs)
        return self._attend(self.child(x, *args, **kwargs))

    def _attend(self, branch: Tensor) -> Tensor:
        attention = self.attention
        if attention is None or not self.connected:
            return branch
        if self.watcher is not None:
            self.watcher(branch)
        if attention.has_carry:
            return self._carries.step(attention, branch)
        # a norm's output is nobody else's, and a map of memory less is time
        in_place = isinstance(self.child, _BatchNorm) and not torch.is_grad_enabled()
        return attention(branch, in_place=in_place)

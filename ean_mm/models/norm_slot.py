"""The adapter that puts attention behind a block's last norm without touching the block's code or keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

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


class NormSlot(HiddenLevel):
    """A block's last norm, followed by the attention of its site when the site is connected.

    The attention is referred to, not owned: its parameters live once, under ``ean`` of the backbone. The state dict does
    not show this level, and attributes of the norm (``weight``, ``num_features``) are read through it, so the block, mmcv's
    ``fuse_conv_bn``, mmengine's ``revert_sync_batchnorm`` and initialisers see the norm they know.

    Args:
        norm: the module that stood in the slot.
        attention: the shared attention of this site, or None where none was built.
        carries: the context of the backbone this site belongs to.
    """

    hidden_child = 'norm'

    def __init__(self, norm: nn.Module, attention: SharedAttention | None, carries: CarryContext):
        super().__init__()
        self.norm = norm
        self.connected = False
        self._attention = (attention,)  # a tuple keeps the reference out of the module tree
        self._carries = carries

    @property
    def attention(self) -> SharedAttention | None:
        """The shared attention this site refers to."""
        return self._attention[0]

    def forward(self, x: Tensor) -> Tensor:
        branch = self.norm(x)
        attention = self.attention
        if attention is None or not self.connected:
            return branch
        if attention.has_carry:
            return self._carries.step(attention, branch)
        return attention(branch)

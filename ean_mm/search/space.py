"""Which schemes a search may propose, and which of them may become the ticket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from ..structures import ConnectionScheme
from ..structures.checks import require_whole
from ..structures.shorten import shorten
from .masks import MAX_LISTED_SITES, every_mask

FREE = '*'


class Bounds(Protocol):
    """Hard constraints that only get tighter with every connection; see :class:`~ean_mm.search.limits.Limits`."""

    def is_allowed(self, masks: np.ndarray) -> np.ndarray:
        """Which masks (M, n) keep every bound, (M,) bool."""

    def require_feasible(self, fixed: dict[int, bool], min_connected: int) -> np.ndarray:
        """A mask (n,) that keeps every bound; a ValueError if there is none."""


class SearchSpace:
    """Schemes of one layout, some bits of them fixed, within limits.

    A strategy proposes the free bits alone; ``expand`` and ``reduce`` go from those to schemes and back.

    Args:
        blocks_per_stage: layout of the schemes.
        fixed: a scheme with ``*`` for every free bit, like ``'1** *** **0'``; None leaves all free.
        min_connected: schemes with fewer connections are scored, but do not become the ticket.
        limits: what the ticket must keep; a proposal beyond them loses random connections until it does.

    Raises: ValueError if an argument is outside its range, no bit is free, or no scheme satisfies all.

    Attributes:
        is_free: which bits a strategy proposes, (n,) bool.

    >>> space = SearchSpace((2, 2), fixed='1* *0', min_connected=2)
    >>> space.num_free, space.expand(np.array([[True, False]])).astype(int).tolist()
    (2, [[1, 1, 0, 0]])
    """

    def __init__(
        self,
        blocks_per_stage: Sequence[int],
        fixed: str | None = None,
        min_connected: int = 0,
        limits: Bounds | None = None,
    ):
        self.blocks_per_stage = ConnectionScheme.none(blocks_per_stage).blocks_per_stage
        self.num_connections = sum(self.blocks_per_stage)
        self.fixed = {} if fixed is None else _parse_fixed(fixed, self.blocks_per_stage)
        self.is_free = np.array([bit not in self.fixed for bit in range(self.num_connections)])
        self._template = np.array([self.fixed.get(bit, False) for bit in range(self.num_connections)])
        self.min_connected = self._check_size(min_connected)
        self.limits = limits
        self._feasible = self._template
        if limits is not None:
            self._feasible = limits.require_feasible(self.fixed, self.min_connected)

    def _check_size(self, min_connected: int) -> int:
        most = self.num_connections - sum(not bit for bit in self.fixed.values())
        if require_whole('min_connected', min_connected, 0) > most:
            left = '' if most == self.num_connections else f' that `fixed` leaves of {self.num_connections}'
            raise ValueError(
                f'`min_connected` must be at most the {most} connections there are{left}, but got {min_connected}.'
            )
        return min_connected

    @property
    def num_free(self) -> int:
        """How many bits a strategy proposes."""
        return int(self.is_free.sum())

    def expand(self, free: np.ndarray) -> np.ndarray:
        """The masks (M, n) of free bits (M, num_free)."""
        masks = np.repeat(self._template[None], len(free), axis=0)
        masks[:, self.is_free] = free
        return masks

    def reduce(self, masks: np.ndarray) -> np.ndarray:
        """The free bits (M, num_free) of masks (M, n)."""
        return masks[:, self.is_free]

    def holds(self, masks: np.ndarray) -> np.ndarray:
        """Which masks (M, n) may be proposed: those with the fixed bits, within the limits, (M,) bool."""
        has_fixed = (masks[:, ~self.is_free] == self._template[~self.is_free]).all(1)
        return has_fixed if self.limits is None else has_fixed & self.limits.is_allowed(masks)

    def is_allowed(self, masks: np.ndarray) -> np.ndarray:
        """Which masks (M, n) may become the ticket, (M,) bool."""
        return self.holds(masks) & (masks.sum(1) >= self.min_connected)

    def allows(self, scheme: ConnectionScheme) -> bool:
        """Whether a scheme may become the ticket."""
        return bool(self.is_allowed(scheme.mask[None])[0])

    @property
    def is_allowed_free(self) -> Callable[[np.ndarray], np.ndarray]:
        """What ``is_allowed`` says, of free bits (M, num_free)."""
        return lambda free: self.is_allowed(self.expand(free))

    def repair(self, masks: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """Masks (M, n) within the limits: those beyond them lose random connections, one by one, until they are.

        One that would lose too many takes the scheme that the limits are known to hold.
        """
        if self.limits is None:
            return masks
        masks = masks.copy()
        for i in np.flatnonzero(~self.limits.is_allowed(masks)):
            masks[i] = self._shrink(masks[i], self.limits, generator)
        return masks

    def _shrink(self, mask: np.ndarray, limits: Bounds, generator: torch.Generator) -> np.ndarray:
        removable = np.flatnonzero(mask & self.is_free)
        order = removable[torch.randperm(len(removable), generator=generator, device='cpu').numpy()]
        smaller = np.repeat(mask[None], len(order) + 1, axis=0)
        for count, bit in enumerate(order, 1):
            smaller[count:, bit] = False
        allowed = np.flatnonzero(limits.is_allowed(smaller))
        if len(allowed) and smaller[allowed[0]].sum() >= self.min_connected:
            return smaller[allowed[0]]
        return self._feasible

    def count(self, schemes: Sequence[ConnectionScheme]) -> int:
        """How many schemes may be proposed or are among the given ones; an upper bound where they are too many to look at."""
        outside = sum(not self.holds(scheme.mask[None])[0] for scheme in dict.fromkeys(schemes))
        if self.limits is None or self.num_free > MAX_LISTED_SITES:
            return 2**self.num_free + outside
        return int(self.holds(self.expand(every_mask(self.num_free))).sum()) + outside


def _parse_fixed(text: str, blocks_per_stage: tuple[int, ...]) -> dict[int, bool]:
    letters = text.replace(' ', '') if isinstance(text, str) else ''
    layout = tuple(len(stage) for stage in text.split(' ')) if letters else ()
    if layout != blocks_per_stage or set(letters) - {'0', '1', FREE}:
        shape = ' '.join(FREE * count for count in blocks_per_stage)
        raise ValueError(
            f"`fixed` must be a scheme of the form '{shorten(shape)[1:-1]}', with 0 or 1 for each bit that is not to be "
            f'searched, but got {shorten(text)}.'
        )
    if FREE not in letters:
        raise ValueError(
            f"`fixed` must leave at least one bit free ('{FREE}'), but got {shorten(text)}; train that scheme."
        )
    return {bit: letter == '1' for bit, letter in enumerate(letters) if letter != FREE}

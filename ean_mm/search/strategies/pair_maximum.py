"""Where functions of sites and pairs are largest: over all schemes of a small network, by climbing in a large one."""

from __future__ import annotations

from collections.abc import Iterator, Set

import numpy as np

from ..masks import MAX_LISTED_SITES, TellMasks, allow_all, every_mask, flip, tell_free
from .pair_model import Functions, to_signs


def climb(functions: Functions, starts: np.ndarray) -> np.ndarray:
    """Go up from every start on every function by the best flip of one bit, or of two where none of one goes up.

    Args:
        functions: D functions; their rest is not looked at.
        starts: masks, (R, n).

    Returns:
        Masks that no flip of one or two bits improves, (D, R, n).
    """
    (count, n), num_starts = functions.sites.shape, len(starts)
    signs = np.tile(to_signs(starts), (count, 1))
    owners = np.repeat(np.arange(count), num_starts)
    forces = functions.sites[owners] + np.matmul(signs.reshape(count, num_starts, n), functions.pairs).reshape(-1, n)
    least = 1e-9 * (np.abs(functions.sites).max(initial=0) + np.abs(functions.pairs).max(initial=0))
    moving = np.arange(len(signs))
    while len(moving):
        gains = -2 * signs[moving] * forces[moving]
        bits = gains.argmax(1)
        goes_up = gains[np.arange(len(moving)), bits] > least
        _flip(signs, forces, functions.pairs, owners, moving[goes_up], bits[goes_up])
        stuck = moving[~goes_up]
        first, second, is_better = _best_pairs(gains[~goes_up], signs[stuck], functions.pairs[owners[stuck]], least)
        for chosen in (first, second):
            _flip(signs, forces, functions.pairs, owners, stuck[is_better], chosen[is_better])
        moving = np.concatenate([moving[goes_up], stuck[is_better]])
    return (signs > 0).reshape(count, num_starts, n)


def _flip(
    signs: np.ndarray, forces: np.ndarray, pairs: np.ndarray, owners: np.ndarray, rows: np.ndarray, bits: np.ndarray
) -> None:
    """Flip a bit in each of some rows, and keep up the forces: what a bit's sign is multiplied by."""
    forces[rows] -= 2 * signs[rows, bits][:, None] * pairs[owners[rows], bits]
    signs[rows, bits] *= -1


def _best_pairs(
    gains: np.ndarray, signs: np.ndarray, pairs: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two bits whose flip gains most in each row, and whether it gains anything."""
    n = gains.shape[1]
    # both gains, and what they count twice: the product of two flipped bits stays
    both = gains[:, :, None] + gains[:, None, :] + 4 * pairs * signs[:, :, None] * signs[:, None, :]
    both[:, np.arange(n), np.arange(n)] = -np.inf
    both = both.reshape(len(gains), n * n)
    best = both.argmax(1)
    return best // n, best % n, both[np.arange(len(gains)), best] > least


def climb_within(function: Functions, start: np.ndarray, is_allowed: TellMasks) -> np.ndarray:
    """Go up on a single function from an allowed mask by the best flip of one or two bits that leads to an allowed one.

    Args:
        function: one function; its rest is not looked at.
        start: (n,), allowed.
        is_allowed: tells which masks may be stepped on.

    Returns:
        A mask (n,) that no allowed flip of one or two bits improves.
    """
    sites, pairs = function.sites[0], function.pairs[0]
    first, second = np.triu_indices(len(start), 1)
    least = 1e-9 * (np.abs(sites).max(initial=0) + np.abs(pairs).max(initial=0))
    mask = start
    while True:
        signs = to_signs(mask)
        gains = -2 * signs * (sites + pairs @ signs)
        both = gains[first] + gains[second] + 4 * pairs[first, second] * signs[first] * signs[second]
        near = np.concatenate([flip(mask, 1), flip(mask, 2)])
        worth = np.where(is_allowed(near), np.concatenate([gains, both]), -np.inf)
        best = worth.argmax()
        if worth[best] <= least:
            return mask
        mask = near[best]


class Maximizer:
    """Finds where functions are largest among the schemes that are free.

    Up to ``MAX_LISTED_SITES`` sites that is exact; above, it is the best of where :func:`climb` ends and of the schemes
    within two bits of the highest end. If that end is not allowed, :func:`climb_within` looks for one that is, from the
    first start that is allowed.

    Args:
        starts: masks to climb from, (R, n), R >= 1, the most promising ones first.
        taken: masks as bytes that are not free; what is taken later counts as well.
        is_allowed: tells which masks may be chosen at all.
    """

    def __init__(self, starts: np.ndarray, taken: Set[bytes], is_allowed: TellMasks = allow_all):
        self.starts = starts
        self.is_free = tell_free(taken, is_allowed)
        self.is_allowed = is_allowed
        self._allowed_starts = starts[is_allowed(starts)]

    def largest(self, functions: Functions) -> tuple[np.ndarray, np.ndarray]:
        """Of each function, the free mask with the largest value, (D, n), and the value, (D,), -inf where none is free."""
        if functions.sites.shape[1] <= MAX_LISTED_SITES:
            return self._choose(every_mask(functions.sites.shape[1]), functions.everywhere())
        found = [self._choose(masks, alone(masks)) for alone, masks in self._candidates(functions)]
        chosen, values = zip(*found, strict=True)
        return np.concatenate(chosen), np.concatenate(values)

    def _candidates(self, functions: Functions) -> Iterator[tuple[Functions, np.ndarray]]:
        ends = climb(functions, self.starts)
        for i, reached in enumerate(ends):
            alone = functions.only(i)
            best = reached[alone(reached)[0].argmax()]
            if len(self._allowed_starts) and not self.is_allowed(best[None])[0]:
                best = climb_within(alone, self._allowed_starts[0], self.is_allowed)
            yield alone, np.concatenate([reached, best[None], flip(best, 1), flip(best, 2)])

    def _choose(self, masks: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = np.where(self.is_free(masks), values, -np.inf)
        best = values.argmax(1)
        return masks[best], values[np.arange(len(values)), best]

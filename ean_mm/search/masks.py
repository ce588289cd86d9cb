"""Schemes as rows of an array of bits: all of them, neighbours, random ones, free ones."""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import lru_cache

import numpy as np
import torch

MAX_LISTED_SITES = 14  # of more sites, not all schemes are gone through
WALK_LENGTH = 64
MOST_WALKS = 100

TellMasks = Callable[[np.ndarray], np.ndarray]  # of masks (M, n), which have a property, (M,) bool


@lru_cache(maxsize=2)
def every_mask(num_connections: int) -> np.ndarray:
    """All 2^n masks, counted up; to be read only.

    >>> every_mask(2).astype(int).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    masks = (np.arange(2**num_connections)[:, None] >> np.arange(num_connections)[::-1] & 1).astype(bool)
    masks.setflags(write=False)
    return masks


def to_numbers(masks: np.ndarray) -> np.ndarray:
    """What masks (M, n) spell in binary, (M,): their places in :func:`every_mask`."""
    return masks @ (1 << np.arange(masks.shape[1])[::-1])


def draw_masks(count: int, num_connections: int, generator: torch.Generator) -> np.ndarray:
    """Random masks, every bit on with probability 1/2, (count, n)."""
    return torch.randint(2, (count, num_connections), generator=generator, device='cpu').bool().numpy()


def flip(mask: np.ndarray, num_bits: int) -> np.ndarray:
    """All masks that differ from one in exactly one bit, or in exactly two.

    >>> flip(np.array([True, False]), 1).astype(int).tolist()
    [[0, 0], [1, 1]]
    """
    n = len(mask)
    bits = np.arange(n)[:, None] if num_bits == 1 else np.column_stack(np.triu_indices(n, 1))
    flipped = np.repeat(mask[None], len(bits), axis=0)
    flipped[np.arange(len(bits))[:, None], bits] ^= True
    return flipped


def allow_all(masks: np.ndarray) -> np.ndarray:
    """Every mask of (M, n) is allowed, (M,) bool."""
    return np.ones(len(masks), dtype=bool)


def tell_free(taken: Set[bytes], is_allowed: TellMasks = allow_all) -> TellMasks:
    """Masks are free that are allowed and not taken, as bytes; what is taken later counts as well."""

    def is_free(masks: np.ndarray) -> np.ndarray:
        return np.array([mask.tobytes() not in taken for mask in masks], dtype=bool) & is_allowed(masks)

    return is_free


def walk_to_free(mask: np.ndarray, is_free: TellMasks, generator: torch.Generator) -> np.ndarray:
    """Flip one random bit of a mask, and then one more as long as the scheme is not free.

    Args:
        mask: (n,) bool; it is left as it is.
        is_free: tells which masks may be proposed.
        generator: draws the bits.

    Returns:
        A free mask. If none is met for long, a random one of those that are free; if there are none, one that is not.
    """
    n = len(mask)
    for _ in range(MOST_WALKS):
        bits = torch.randint(n, (WALK_LENGTH,), generator=generator, device='cpu').numpy()
        walk = mask ^ (np.cumsum(np.eye(n, dtype=int)[bits], axis=0) % 2).astype(bool)
        met = np.flatnonzero(is_free(walk))
        if len(met):
            return walk[met[0]]
        if n <= MAX_LISTED_SITES:
            free = every_mask(n)[is_free(every_mask(n))]
            return free[int(torch.randint(len(free), (), generator=generator, device='cpu'))] if len(free) else walk[0]
        mask = walk[-1]
    return mask

"""What a search without a strategy would have found by now."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def expected_best(values: Sequence[float], num_draws: int) -> np.ndarray:
    """Expected best of m different draws from ``values``, for m = 1 ... ``num_draws``.

    ``E_m = sum_i x_i * C(i - 1, m - 1) / C(N, m)`` over the N values in ascending order: of all sets of m values, the share
    in which the i-th is the best. Where the values are a sample of schemes drawn at random, it estimates without bias the
    best of m random schemes; beyond N draws a sample says nothing. Where they are all schemes, it is exact.
    Source: arXiv:2004.13705 (the unbiased form of arXiv:1909.03004's expected validation performance).

    Args:
        values: at least one.
        num_draws: at most as many.

    Raises:
        ValueError: if there are fewer values than draws.

    >>> expected_best([1.0, 2.0, 6.0], 3).tolist()
    [3.0, 4.666666666666667, 6.0]
    """
    if not 1 <= num_draws <= len(values):
        raise ValueError(f'`num_draws` must be from 1 to the {len(values)} values, but got {num_draws!r}.')
    ordered = np.sort(np.asarray(values, dtype=float))[::-1]
    total = len(ordered)
    return np.array([ordered[: total - m + 1] @ _weights(total, m) for m in range(1, num_draws + 1)])


def _weights(total: int, m: int) -> np.ndarray:
    """Probability that the best of m is the best value of all, the second best, ..."""
    place = np.arange(total, m, -1)
    return m / total * np.concatenate([[1.0], np.cumprod((place - m) / (place - 1))])

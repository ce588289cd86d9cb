"""Whether one list of scores ranks schemes as another does, how sure that is, and how well anything could."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..structures.checks import require_whole
from .intervals import CONFIDENCE

NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class RankCorrelation:
    """How well two rankings agree.

    Attributes:
        value: Kendall's tau-b, from -1 (reversed) over 0 (no relation) to 1 (the same).
        low: lower end of its interval.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fidelity:
    """How well scores rank schemes, beside how well the truth that they are compared with is known.

    Attributes:
        taus: of each kind of score, by name, with the mean over the seeds.
        ceiling: of one seed with another, mean over all pairs of seeds; None of one seed.
        perfect: what scores without any error would reach with the mean over the seeds, as far as the ceiling tells; None of
            one seed.
        gains: of each further kind of score, tau of the first one less its own, over the same resamples.
    """

    taus: dict[str, RankCorrelation]
    ceiling: RankCorrelation | None
    perfect: RankCorrelation | None
    gains: dict[str, RankCorrelation]


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two lists of scores of the same schemes; 0 where one of them is constant and ranks nothing.

    Source: Kendall, Biometrika 33 (1945), 239-251. Differs: 0 of a constant list, of which it is not defined.

    >>> kendall_tau([1, 2, 3, 4], [10, 20, 40, 30])
    0.6666666666666666
    """
    return float(_taus(np.ones((1, len(first))), np.asarray(first), np.asarray(second))[0])


def measure_fidelity(
    scores: Mapping[str, Sequence[float]],
    stand_alone: Sequence[Sequence[float]],
    num_resamples: int = NUM_RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Fidelity:
    """Compare scores of schemes with what networks trained alone with them reached.

    Intervals are those of a bootstrap over schemes (percentiles): all lists are resampled together, so that they say what
    other schemes would have shown. A scheme that is drawn twice is tied with itself and says nothing.

    What a scorer without any error would reach is lower than 1, because the mean of a few seeds is itself uncertain. It is
    computed from the agreement of the seeds as if scores were normally distributed: tau is turned into a correlation
    (r = sin(pi tau / 2)), that of one seed into that of the mean of k (Spearman and Brown: k r / (1 + (k - 1) r)), whose root
    is the correlation of the truth with that mean, which is turned back.

    Args:
        scores: by name, one number for each scheme.
        stand_alone: for each scheme, one number for each seed.
        num_resamples: of the bootstrap.
        confidence: share of the resamples inside an interval.
        seed: of the bootstrap.

    Raises:
        ValueError: if there are fewer than three schemes.
    """
    table = np.asarray(stand_alone, dtype=float)
    num_schemes, num_seeds = table.shape
    require_whole('num_schemes', num_schemes, 3)
    counts = np.random.default_rng(seed).multinomial(num_schemes, np.full(num_schemes, 1 / num_schemes), num_resamples)
    weights = np.concatenate([np.ones((1, num_schemes)), counts])  # the first row is what was found
    means = table.mean(axis=1)
    taus = {name: _taus(weights, np.asarray(values, dtype=float), means) for name, values in scores.items()}
    first, *others = taus
    pairs = [_taus(weights, table[:, a], table[:, b]) for a, b in combinations(range(num_seeds), 2)]
    between = np.mean(pairs, axis=0) if pairs else None
    return Fidelity(
        taus={name: _summarise(values, confidence) for name, values in taus.items()},
        ceiling=None if between is None else _summarise(between, confidence),
        perfect=None if between is None else _summarise(_best_possible(between, num_seeds), confidence),
        gains={name: _summarise(taus[first] - taus[name], confidence) for name in others},
    )


def _taus(weights: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """tau-b where scheme i is there weights[:, i] times, for each row of weights (M, n)."""
    signs = [np.sign(values[:, None] - values[None, :]) for values in (first, second)]

    def total(pairs: np.ndarray) -> np.ndarray:
        return np.einsum('mi,ij,mj->m', weights, pairs, weights, optimize=True)

    scale = np.sqrt(total(np.abs(signs[0])) * total(np.abs(signs[1])))
    return np.divide(total(signs[0] * signs[1]), scale, out=np.zeros(len(weights)), where=scale > 0)


def _best_possible(tau: np.ndarray, num_seeds: int) -> np.ndarray:
    """tau of the truth with the mean of seeds, from tau between single ones."""
    single = np.sin(np.pi / 2 * np.clip(tau, 0, 1))
    of_mean = num_seeds * single / (1 + (num_seeds - 1) * single)
    return 2 / np.pi * np.arcsin(np.sqrt(of_mean))


def _summarise(values: np.ndarray, confidence: float) -> RankCorrelation:
    low, high = np.quantile(values[1:], ((1 - confidence) / 2, (1 + confidence) / 2)).tolist()
    return RankCorrelation(float(values[0]), low, high)

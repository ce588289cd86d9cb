"""How good the best of many is: its score is the best in part by luck, which an estimate has to take out."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtri

from .bootstrap import CONFIDENCE, Difference

PROJECTION_SHARE = 0.1  # of the error that the bounds for all candidates at once may make
LEAST_GAP = (
    0.01  # in standard errors, of the winner over the second: scores are whole numbers of images, and may be equal
)


def estimate_winner(
    value: float,
    drawn: np.ndarray,
    gaps: np.ndarray,
    drawn_gaps: np.ndarray,
    num_candidates: int,
    resolution: float = 0.0,
) -> Difference:
    """Estimate how much better the winner is than something else, given that it was chosen because it looked best.

    A scheme is chosen where its lead over every other candidate is not negative. Given everything about the candidates that
    is independent of the difference, this means that the difference is above a bound: the closer the second, the closer the
    bound, and the more of the difference is luck. The distribution below the bound being cut off, the estimate is the true
    difference that makes the one found its median; the ends of the interval are found likewise. Where the second is far
    behind, nothing changes. Bounds for all candidates at once (Bonferroni) keep the interval from growing without limit.
    Source: Andrews, Kitagawa and McCloskey, Inference on Winners, Quarterly Journal of Economics 139 (2024), the hybrid
    estimator. **Differs:** covariances are those of the bootstrap.

    Args:
        value: the difference found.
        drawn: its bootstrap draws, (B,).
        gaps: reward of the winner minus that of each other candidate, (M,), not negative.
        drawn_gaps: bootstrap draws of them, (B, M).
        num_candidates: how many schemes the winner was chosen from, those included whose gaps are too large to matter.
        resolution: of a score, which may be a whole number of images: half of it makes up for scores that are equal.

    Returns: median-unbiased value, and an interval with at least the confidence promised.
    """
    error = float(drawn.std())
    if error <= 1e-9 * max(1.0, abs(value)):
        return Difference(value, value, value)
    centred = drawn - drawn.mean()
    slopes = centred @ (drawn_gaps - drawn_gaps.mean(0)) / (centred @ centred)  # of each gap on the difference
    reach = (
        np.maximum(gaps, 0) + resolution / 2
    ) / error  # in standard errors, over the slope: how far the difference is from the bound
    # how far the bounds are from the difference found, in standard errors
    below = min((gap / slope for gap, slope in zip(reach, slopes, strict=True) if slope > 1e-6), default=np.inf)
    above = min((gap / -slope for gap, slope in zip(reach, slopes, strict=True) if slope < -1e-6), default=np.inf)
    low, middle, high = _solve(max(below, LEAST_GAP), max(above, LEAST_GAP), num_candidates)
    return Difference(value + error * middle, value + error * low, value + error * high)


def _solve(below: float, above: float, num_candidates: int) -> list[float]:
    """The true differences, in standard errors from the one found, that put it at the upper tail, the median and the lower one.

    Args:
        below: how far below the one found the distribution is cut off.
        above: how far above.
        num_candidates: for the bounds.
    """
    error_rate = 1 - CONFIDENCE
    beta = PROJECTION_SHARE * error_rate
    widest = float(-ndtri(beta / 2 / max(num_candidates, 1)))
    tail = (error_rate - beta) / (1 - beta) / 2

    def excess(truth: float, level: float) -> float:
        return _cut_normal(truth, max(-below, truth - widest), min(above, truth + widest)) - level

    edge = widest * (1 - 1e-9)
    return [float(brentq(excess, -edge, edge, args=(level,))) for level in (1 - tail, 0.5, tail)]


def _cut_normal(mean: float, low: float, high: float) -> float:
    """P(X < 0) for X normal around ``mean`` with variance 1, known to be between ``low`` < 0 and ``high`` > 0."""
    if mean > 0:  # the same thing mirrored: the logarithms are exact in the tail that is far away
        return 1 - _cut_normal(-mean, -high, -low)
    from_low, from_zero, from_high = (float(log_ndtr(mean - x)) for x in (low, 0.0, high))  # log P(X > x)
    return float(np.expm1(from_zero - from_low) / np.expm1(from_high - from_low))

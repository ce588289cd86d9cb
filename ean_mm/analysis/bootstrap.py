"""Intervals of differences between schemes that were scored on the same images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .intervals import CONFIDENCE

NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """A difference of metrics, and an interval for it.

    Attributes:
        value: in units of the metric.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half the width of the interval: the figure after the ±."""
        return (self.high - self.low) / 2

    @property
    def verdict(self) -> str:
        """'better', 'worse', or 'not distinguishable' if the interval holds 0."""
        if self.low > 0:
            return 'better'
        return 'worse' if self.high < 0 else 'not distinguishable'


class Bootstrap:
    """Draw the groups of images with replacement, the same draws for all that is asked.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), percentile interval.

    Args:
        sizes: images per group, (G,).
        seed: of the draws.
        num_resamples: B, how many draws.
    """

    def __init__(self, sizes: np.ndarray, seed: int = 0, num_resamples: int = NUM_RESAMPLES):
        self.sizes = sizes
        self.num_resamples = num_resamples
        self._seed = seed
        num = len(sizes)
        counts = np.random.default_rng([seed, 1]).multinomial(num, np.full(num, 1 / num), size=num_resamples)
        weights = counts * sizes
        self._shares = weights / weights.sum(1, keepdims=True)

    def draw(self, values: np.ndarray) -> np.ndarray:
        """The means of (S, G) or (G,) values over the groups of each draw, (B, S) or (B,)."""
        return self._shares @ values.T

    def draw_members(self, values: np.ndarray, is_sample: bool) -> np.ndarray:
        """The means over several schemes, (P, G), and the groups of each draw, (B,).

        Args:
            values: of the schemes.
            is_sample: whether they stand for more schemes of their kind: then schemes are drawn with replacement as well.
        """
        if not is_sample:
            return self.draw(values.mean(0))
        num = len(values)
        uses = np.random.default_rng([self._seed, 2]).multinomial(num, np.full(num, 1 / num), size=self.num_resamples)
        return (uses * self.draw(values)).sum(1) / num

    def interval(self, value: float, drawn: np.ndarray) -> Difference:
        """The percentile interval of draws (B,)."""
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(drawn, (tail, 1 - tail))
        return Difference(float(value), float(low), float(high))

    def difference(self, values: np.ndarray) -> Difference:
        """The mean of a difference per group, (G,), weighted by the sizes of the groups."""
        return self.interval(float(values @ self.sizes / self.sizes.sum()), self.draw(values))

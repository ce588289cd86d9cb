"""How sure a mean over a few seeds is: intervals by Student's t."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev

from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean, and where the true one probably lies.

    Attributes:
        mean: of the values.
        low: lower end of the interval; None of one value, which says nothing about the spread.
        high: upper end, or None.
        num: how many values there were.
    """

    mean: float
    low: float | None
    high: float | None
    num: int

    @property
    def margin(self) -> float | None:
        """Half the width: the figure after the ±."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def verdict(self) -> str:
        """What an interval of a difference says: 'better', 'worse', 'not distinguishable', or 'unknown' of one value."""
        if self.low is None or self.high is None:
            return 'unknown'
        if self.low > 0:
            return 'better'
        return 'worse' if self.high < 0 else 'not distinguishable'


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of independent values with an interval by Student's t.

    Args:
        values: at least one, of a distribution that is not far from normal.
        confidence: how often such an interval holds the true mean, in (0, 1).

    >>> t_interval([70.0, 72.0, 74.0]).verdict, round(t_interval([70.0, 72.0, 74.0]).margin, 3)
    ('better', 4.968)
    """
    num = len(values)
    middle = mean(values)
    if num == 1:
        return Interval(middle, None, None, 1)
    margin = float(stdtrit(num - 1, (1 + confidence) / 2)) * stdev(values) / sqrt(num)
    return Interval(middle, middle - margin, middle + margin, num)


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = CONFIDENCE
) -> Interval | None:
    """The mean of first minus second over the seeds that both have; None if there is none.

    Args:
        first: a value for each seed.
        second: a value for each seed.
        confidence: as in :func:`t_interval`.
    """
    seeds = [seed for seed in first if seed in second]
    return t_interval([first[seed] - second[seed] for seed in seeds], confidence) if seeds else None

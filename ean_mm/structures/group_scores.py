"""Scores of schemes group by group of the reward images: what statistics about their differences need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .scheme import ConnectionScheme
from .shorten import shorten

NUM_GROUPS = 100


@dataclass(frozen=True)
class GroupScores:
    """What each group of consecutive reward images contributes to the metric of each scheme.

    The mean of a scheme's values, weighted by the sizes of the groups, is its metric. Of a metric that is a mean over images
    the values are simply those of the groups. Of any other (mIoU) they are pseudo-values of the jackknife, moved so that their
    mean is the metric: ``h metric - (h - 1) metric without the group``, h = images / images of the group, which treats the
    metric as a mean as far as small changes of the images go.
    Source: Busing, Meijer and van der Leeden, Statistics and Computing 9 (1999), delete-m jackknife for unequal m.

    Args:
        schemes: S different schemes.
        metrics: (S,), of all images.
        values: (S, G).
        sizes: (G,), images per group.
        is_additive: whether the metric is a mean over images.

    Raises: ValueError if the shapes do not fit.

    >>> scheme = ConnectionScheme.from_string('1 0')
    >>> scores = GroupScores((scheme,), np.array([70.0]), np.array([[60.0, 80.0]]), np.array([5, 5]), True)
    >>> scores.resample(np.array([[2, 0], [1, 1]]))
    array([[60.],
           [70.]])
    """

    schemes: tuple[ConnectionScheme, ...]
    metrics: np.ndarray
    values: np.ndarray
    sizes: np.ndarray
    is_additive: bool

    def __post_init__(self) -> None:
        shape = len(self.schemes), len(self.sizes)
        if self.values.shape != shape or self.metrics.shape != shape[:1] or len(set(self.schemes)) != shape[0]:
            raise ValueError(
                f'`values` must have a row for each of {shape[0]} different schemes and a column for each of {shape[1]} '
                f'groups, but got {shorten(self.values.shape)}.'
            )

    @property
    def num_images(self) -> int:
        """How many images all groups have."""
        return int(self.sizes.sum())

    @property
    def weights(self) -> np.ndarray:
        """The share of each group in all images, (G,)."""
        return self.sizes / self.sizes.sum()

    def metric(self, scheme: ConnectionScheme) -> float:
        """The metric of one scheme on all images."""
        return float(self.metrics[self.schemes.index(scheme)])

    def rows(self, schemes: Sequence[ConnectionScheme]) -> np.ndarray:
        """The values of some of the schemes, in their order, (len(schemes), G).

        Raises:
            KeyError: if one has no score here.
        """
        index = {scheme: row for row, scheme in enumerate(self.schemes)}
        return self.values[[index[scheme] for scheme in schemes]]

    def resample(self, counts: np.ndarray) -> np.ndarray:
        """The metrics (R, S) if group g counts ``counts[r, g]`` times, counts (R, G)."""
        weights = counts * self.sizes
        return weights @ self.values.T / weights.sum(1, keepdims=True)

    def joined(self, other: GroupScores) -> GroupScores:
        """With the schemes of another one on the same groups as well; what both have is taken from this one."""
        new = [row for row, scheme in enumerate(other.schemes) if scheme not in set(self.schemes)]
        return GroupScores(
            self.schemes + tuple(other.schemes[row] for row in new),
            np.concatenate([self.metrics, other.metrics[new]]),
            np.concatenate([self.values, other.values[new]]),
            self.sizes,
            self.is_additive and other.is_additive,
        )


def split_evenly(num: int, num_groups: int) -> list[np.ndarray]:
    """The numbers 0 ... num - 1 in groups of neighbours whose sizes differ by at most one; of fewer numbers, one each.

    >>> [len(group) for group in split_evenly(10, 4)]
    [3, 3, 2, 2]
    """
    return np.array_split(np.arange(num), max(1, min(num, num_groups)))

"""Metrics of parts of the reward images, from the results that a tally holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..structures import ConnectionScheme, GroupScores
from ..structures.group_scores import split_evenly
from .tally import Tally

TOLERANCE = 1e-6  # of the largest value of a group: what float32 sums leave of a mean


@dataclass(frozen=True)
class GroupReading:
    """A scheme's part of :class:`GroupScores`: metric, values (G,), sizes (G,), and whether the metric is a mean."""

    metric: float
    values: np.ndarray
    sizes: np.ndarray
    is_additive: bool


class PartReader:
    """Read the metric of parts of the images that a measured scheme has seen.

    Where the metric has not noted one result per image, parts are made of slices instead, each of which is a batch of every
    rank. On several ranks, all call the same methods and get the same values.

    Args:
        tally: measured in full.
        images_per_slice: see ``count_images``; needed where results are not one per image.

    Raises: ValueError if neither images nor slices can be told apart.
    """

    def __init__(self, tally: Tally, images_per_slice: Sequence[int]):
        self.tally = tally
        self.is_per_image = tally.has_result_per_image()
        if not self.is_per_image and len(images_per_slice) != tally.num_slices:
            raise ValueError(
                f'`val_evaluator` must note one result per image, or `val_dataloader` must yield batches of one '
                f'`batch_size`, but got neither for {tally.metric!r}.'
            )
        self.sizes = np.ones(tally.num_images, dtype=int) if self.is_per_image else np.array(images_per_slice)

    def read(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """The metric of each part, given by the places of its images, or slices, in the order of evaluation."""
        if self.is_per_image:
            return np.array(self.tally.read_images([part.tolist() for part in parts]))
        return np.array([self.tally.read_slices(part.tolist(), int(self.sizes[part].sum())) for part in parts])

    def read_groups(self, metric: float, num_groups: int) -> GroupReading:
        """What each group contributes to the metric; see :class:`GroupScores`.

        Args:
            metric: of all images.
            num_groups: how many groups there are at most.
        """
        groups = split_evenly(len(self.sizes), num_groups)
        sizes = np.array([self.sizes[group].sum() for group in groups])
        values = self.read(groups)
        mean = float(values @ sizes / sizes.sum())
        is_additive = abs(mean - metric) <= TOLERANCE * max(1.0, float(np.abs(values).max()))  # not of a nan
        if not is_additive and len(groups) > 1:
            everything = np.arange(len(self.sizes))
            without = self.read([np.setdiff1d(everything, group) for group in groups])
            shares = sizes.sum() / sizes
            values = shares * metric - (shares - 1) * without
        values = values + (metric - values @ sizes / sizes.sum())
        return GroupReading(metric, values, sizes, is_additive)


def join_readings(schemes: Sequence[ConnectionScheme], readings: Sequence[GroupReading]) -> GroupScores:
    """Put together what was read of several schemes, at least one."""
    return GroupScores(
        tuple(schemes),
        np.array([reading.metric for reading in readings]),
        np.stack([reading.values for reading in readings]),
        readings[0].sizes,
        all(reading.is_additive for reading in readings),
    )

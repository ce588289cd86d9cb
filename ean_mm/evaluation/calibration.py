"""The images that batch norm is recalibrated on: training images under test transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..registry import DATASETS, build_from
from ..structures.checks import require_whole


def with_pipeline(dataset: dict, pipeline: Sequence[dict]) -> dict:
    """Return the dataset config with its transforms, and those of every dataset it wraps, replaced."""
    replaced = dict(dataset)
    if 'pipeline' in dataset:
        replaced['pipeline'] = list(pipeline)
    if 'dataset' in dataset:
        replaced['dataset'] = with_pipeline(dataset['dataset'], pipeline)
    if 'datasets' in dataset:
        replaced['datasets'] = [with_pipeline(each, pipeline) for each in dataset['datasets']]
    return replaced


def find_pipeline(dataset: dict) -> list[dict]:
    """Return the transforms of a dataset config, or of the first one it wraps.

    Raises:
        ValueError: if there are none.
    """
    if 'pipeline' in dataset:
        return list(dataset['pipeline'])
    for inner in [dataset.get('dataset'), *dataset.get('datasets', ())]:
        if inner is not None:
            return find_pipeline(inner)
    raise ValueError(f"`dataset` must have a 'pipeline', but got {dict(dataset)!r}.")


class CalibrationImages:
    """A fixed random choice of images as collated batches, the same on every rank; loaded at the first use.

    Args:
        dataset: config of the training images, with test transforms.
        num_images: how many are chosen, without repetition.
        batch_size: images per batch; the last batch may be smaller.
        seed: of the choice.
        collate: joins images into a batch.

    Raises:
        ValueError: if the dataset has fewer images, or a number is below 1.
    """

    def __init__(
        self,
        dataset: dict,
        num_images: int,
        batch_size: int,
        seed: int,
        collate: Callable[[list], Any],
    ):
        self.images = build_from(DATASETS, dataset, 'train_dataloader.dataset')
        if hasattr(self.images, 'full_init'):
            self.images.full_init()
        if not 1 <= num_images <= len(self.images):
            raise ValueError(
                f'`num_calibration_images` must be between 1 and the {len(self.images)} training images, '
                f'but got {num_images!r}.'
            )
        self.num_images = num_images
        self.batch_size = require_whole('calibration_batch_size', batch_size, 1)
        self.seed = seed
        self.collate = collate
        self._batches: list[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        if self._batches is None:
            self._batches = self._load()
        return iter(self._batches)

    def _load(self) -> list[Any]:
        order = np.random.default_rng(self.seed).permutation(len(self.images))
        chosen = np.sort(order[: self.num_images]).tolist()
        starts = range(0, self.num_images, self.batch_size)
        return [
            self.collate([self.images[index] for index in chosen[start : start + self.batch_size]]) for start in starts
        ]

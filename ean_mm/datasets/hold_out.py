"""Hold part of a training set out for the reward of a search."""

from __future__ import annotations

import numpy as np
from mmengine.dataset import BaseDataset

from ..registry import DATASETS, build_from
from ..structures.checks import require_one_of, require_whole
from .missing_data import explain_missing_data

PARTS = ('train', 'reward')
ORDERS = ('first', 'seeded')


@DATASETS.register_module(name='HoldOut')
def hold_out(
    dataset: dict | BaseDataset,
    part: str,
    per_class: int | None = None,
    num_images: int | None = None,
    order: str = 'first',
    seed: int = 0,
) -> BaseDataset:
    """Build one side of a data set from which some samples are held out: so many of every class, or so many in all.

    ``part='reward'`` gives the held-out samples, ``part='train'`` the rest: with the same other
    arguments the two are disjoint and together complete. The result is the data set itself, cut to
    its side (so a broken image is never replaced by one of the other side). Samples keep their
    order. The transforms of a side are those of its ``dataset`` config.
    Source: the split of the search in arXiv:2011.14058, the first 100 images of each class of
    ImageNet's training set. Differs: ``num_images`` serves data without class labels, such as
    crowds and label maps.

    Args:
        dataset: config of the data set, or the data set, which is left as it is.
        part: 'reward' or 'train'.
        per_class: how many samples of every class are held out, at least 1; samples carry a
            ``gt_label``.
        num_images: how many samples are held out, at least 1; give this or ``per_class``.
        order: 'first' takes the first samples (of each class), 'seeded' a random choice.
        seed: of the random choice, at least 0.

    Raises:
        ValueError: if an argument is out of range, or no sample (of a class) would remain.
        TypeError: if the data set cannot give subsets, or has no labels for ``per_class``.
        MissingDataError: if the files of the data set are missing.
    """
    require_one_of('part', part, PARTS)
    require_one_of('order', order, ORDERS)
    require_whole('seed', seed, 0)
    number = _require_one(per_class, num_images)
    whole = _build(dataset)
    labels = _put_into_one_class(whole, number) if per_class is None else read_labels(whole)
    held_out = mark_per_class(labels, number, seed=seed if order == 'seeded' else None)
    return whole.get_subset(np.flatnonzero(held_out == (part == 'reward')).tolist())


def _require_one(per_class: int | None, num_images: int | None) -> int:
    if per_class is not None and num_images is None:
        return require_whole('per_class', per_class, 1)
    if num_images is not None and per_class is None:
        return require_whole('num_images', num_images, 1)
    raise ValueError(
        f'`per_class` or `num_images` must be given, and not both, but got {per_class!r} and {num_images!r}; without class '
        'labels give `num_images`.'
    )


def _build(dataset: dict | BaseDataset) -> BaseDataset:
    if isinstance(dataset, dict):
        with explain_missing_data(dataset):
            dataset = build_from(DATASETS, dataset, 'dataset')
            dataset.full_init()
    if not isinstance(dataset, BaseDataset):
        raise TypeError(
            f'`dataset` must be a BaseDataset, but got {type(dataset).__name__}; '
            'wrap the HoldOut instead of the other way round.'
        )
    return dataset


def _put_into_one_class(dataset: BaseDataset, num_images: int) -> np.ndarray:
    if num_images >= len(dataset):
        raise ValueError(
            f'`num_images` must be below the size of the data set, but got {num_images!r}; '
            f'{type(dataset).__name__} has {len(dataset)} samples.'
        )
    return np.zeros(len(dataset), dtype=int)


def read_labels(dataset: BaseDataset) -> np.ndarray:
    """Read the label of every sample in one pass, without loading images where possible.

    Raises:
        TypeError: if the samples have no single label.
    """
    try:
        if hasattr(dataset, 'get_gt_labels'):
            labels = np.asarray(dataset.get_gt_labels())
        else:
            labels = np.array([dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))])
    except KeyError as err:
        raise TypeError(f'`dataset` must label its samples, but got {type(dataset).__name__} without {err}.') from err
    if labels.ndim != 1 or labels.dtype.kind not in 'iu':
        raise TypeError(
            f'`dataset` must give every sample one whole number as label, but got {labels.dtype} '
            f'labels of shape {labels.shape} from {type(dataset).__name__}.'
        )
    return labels


def mark_per_class(labels: np.ndarray, per_class: int, seed: int | None = None) -> np.ndarray:
    """Mark ``per_class`` samples of every class that occurs.

    Args:
        labels: (n,) class of every sample.
        per_class: how many to mark.
        seed: of a random choice; None marks the first ones.

    Returns:
        (n,) bool.

    Raises:
        ValueError: if a class has no more than ``per_class`` samples, so that none would remain.

    >>> mark_per_class(np.array([1, 0, 1, 0, 1]), per_class=1)
    array([ True,  True, False, False, False])
    """
    order = np.arange(len(labels))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(order)
    by_class = order[np.argsort(labels[order], kind='stable')]
    classes, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    if counts.min(initial=per_class + 1) <= per_class:
        raise ValueError(
            f'`per_class` must be below the size of every class, but got {per_class!r}; '
            f'class {classes[counts.argmin()]} has {counts.min()} samples.'
        )
    rank = np.arange(len(labels)) - np.repeat(starts, counts)
    marked = np.zeros(len(labels), dtype=bool)
    marked[by_class[rank < per_class]] = True
    return marked

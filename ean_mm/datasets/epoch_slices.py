"""A sampler that shows new samples in every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from ..registry import DATA_SAMPLERS
from ..structures.checks import require_whole


@DATA_SAMPLERS.register_module()
class EpochSlices(Sampler):
    """Visit slice e of the data set in epoch e: ``num_per_epoch`` samples, shuffled.

    For data sets that draw their samples when asked: every epoch sees new ones, and a run resumed
    at an epoch sees those it would have seen. After the last whole slice the first comes again.
    mmengine's DistSamplerSeedHook, one of its default hooks, tells the epoch.

    Args:
        dataset: the data set.
        num_per_epoch: samples per epoch, all ranks together; at most the size of the data set.
        shuffle: whether the order within the slice is random, a function of ``seed`` and epoch.
        seed: the same on every rank; None lets the ranks agree on one.

    Raises: ValueError if ``num_per_epoch`` is out of range.

    >>> sampler = EpochSlices(range(6), num_per_epoch=2, shuffle=False, seed=0)
    >>> sampler.set_epoch(2)
    >>> list(sampler)
    [4, 5]
    """

    def __init__(self, dataset: Sized, num_per_epoch: int, shuffle: bool = True, seed: int | None = None):
        self.num_per_epoch = require_whole('num_per_epoch', num_per_epoch, 1)
        if num_per_epoch > len(dataset):
            raise ValueError(
                f'`num_per_epoch` must be at most {len(dataset)}, the size of the data set, but got {num_per_epoch!r}.'
            )
        self.num_slices = len(dataset) // num_per_epoch
        self.rank, self.world_size = get_dist_info()
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        first = self.epoch % self.num_slices * self.num_per_epoch
        indices = np.arange(first, first + self.num_per_epoch)
        if self.shuffle:
            indices = np.random.default_rng((self.seed, self.epoch)).permutation(indices)
        padded = np.resize(indices, len(self) * self.world_size)  # every rank visits equally many
        return iter(padded[self.rank :: self.world_size].tolist())

    def __len__(self) -> int:
        """How many samples this rank visits per epoch."""
        return -(-self.num_per_epoch // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the slice of the next pass."""
        self.epoch = epoch

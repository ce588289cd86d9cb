from __future__ import annotations

import pytest

from ean_mm.datasets import epoch_slices
from ean_mm.datasets.epoch_slices import EpochSlices
from ean_mm.registry import DATA_SAMPLERS


def visited(sampler: EpochSlices, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_epochs_visit_their_own_slices_and_come_round():
    sampler = EpochSlices(range(25), num_per_epoch=10, seed=3)
    assert [sorted(visited(sampler, epoch)) for epoch in range(3)] == [
        list(range(10)),
        list(range(10, 20)),
        list(range(10)),
    ]
    assert len(sampler) == 10


def test_the_order_is_a_function_of_seed_and_epoch():
    sampler = EpochSlices(range(100), 50, seed=3)
    first = visited(sampler, 0)
    assert first != sorted(first)
    visited(sampler, 1)
    assert visited(sampler, 0) == first == visited(EpochSlices(range(100), 50, seed=3), 0)
    assert visited(sampler, 2) != first  # the same slice in another order
    assert visited(EpochSlices(range(100), 50, seed=4), 0) != first


def test_without_shuffle_the_order_is_that_of_the_data():
    assert visited(EpochSlices(range(9), 3, shuffle=False, seed=0), 1) == [3, 4, 5]


@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_share_the_slice(monkeypatch, world_size):
    alone = visited(EpochSlices(range(40), 10, seed=1), 2)
    per_rank = []
    for rank in range(world_size):
        monkeypatch.setattr(epoch_slices, 'get_dist_info', lambda rank=rank: (rank, world_size))
        sampler = EpochSlices(range(40), 10, seed=1)
        per_rank.append(visited(sampler, 2))
        assert len(per_rank[-1]) == len(sampler) == -(-10 // world_size)
    interleaved = [index for step in zip(*per_rank, strict=True) for index in step]
    assert interleaved[:10] == alone
    assert interleaved[10:] == alone[: len(interleaved) - 10]


def test_mmengine_runner_builds_it():
    cfg = dict(type='ean_mm.EpochSlices', num_per_epoch=2)
    sampler = DATA_SAMPLERS.build(cfg, default_args=dict(dataset=range(4), seed=None))
    assert isinstance(sampler.seed, int)


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (0, r'`num_per_epoch` must be a whole number of at least 1, but got 0\.'),
        (5, r'`num_per_epoch` must be at most 4, the size of the data set, but got 5\.'),
    ],
)
def test_refused_values(value, message):
    with pytest.raises(ValueError, match=message):
        EpochSlices(range(4), value)

"""A short training goes through the whole schedule of the long one."""

import pytest
from mmengine.config import Config

from ean_mm.launch.short_recipe import shorten_recipe


def recipe(scheduler, train_cfg=None):
    fields = dict(
        train_cfg=train_cfg or dict(by_epoch=True, max_epochs=100, val_interval=10), param_scheduler=scheduler
    )
    return Config(dict(fields, val_dataloader=dict(batch_size=2), val_cfg={}, val_evaluator=dict(type='Accuracy')))


def test_cosine_and_length():
    cfg = recipe(dict(type='CosineAnnealingLR', T_max=100, by_epoch=True, convert_to_iter_based=True))
    short = shorten_recipe(cfg, 5)
    assert short.train_cfg.max_epochs == 5
    assert short.param_scheduler[0].to_dict() == dict(
        type='CosineAnnealingLR', T_max=5, by_epoch=True, convert_to_iter_based=True
    )
    assert (short.val_dataloader, short.val_cfg, short.val_evaluator) == (None, None, None)
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.param_scheduler.T_max == 100


def test_phases_stay_end_to_end():
    warmup = dict(type='LinearLR', start_factor=0.1, begin=0, end=10, by_epoch=True)
    cosine = dict(type='CosineAnnealingLR', begin=10, end=100, T_max=90, by_epoch=True)
    short = shorten_recipe(recipe([warmup, cosine]), 20).param_scheduler
    assert [(each.begin, each.end) for each in short] == [(0, 2), (2, 20)]
    assert short[1].T_max == 18
    assert short[0].start_factor == 0.1


def test_a_phase_without_length_is_left_out():
    warmup = dict(type='LinearLR', start_factor=0.1, begin=0, end=1, by_epoch=True)
    cosine = dict(type='CosineAnnealingLR', begin=1, end=100, T_max=99, by_epoch=True)
    cooling = dict(type='ConstantLR', begin=99, end=100)
    short = shorten_recipe(recipe([warmup, cosine, cooling]), 20).param_scheduler
    assert [(each.begin, each.end) for each in short] == [(0, 1), (1, 20)]


def test_steps_and_iterations():
    warmup = dict(type='LinearLR', begin=0, end=500, by_epoch=False)
    steps = dict(type='MultiStepLR', milestones=[30, 60, 90], gamma=0.1, by_epoch=True)
    short = shorten_recipe(recipe([warmup, steps]), 10).param_scheduler
    assert short[0].end == 50
    assert (short[1].milestones, short[1].gamma) == ([3, 6, 9], 0.1)


def test_a_training_that_counts_iterations():
    cfg = recipe(
        dict(type='PolyLR', power=0.9, begin=0, end=4000), dict(by_epoch=False, max_iters=4000, val_interval=400)
    )
    short = shorten_recipe(cfg, 400, 'iters')
    assert (short.train_cfg.max_iters, short.param_scheduler[0].end) == (400, 400)
    with pytest.raises(ValueError, match='`epochs` must be what the training counts, but got 5; give --iters'):
        shorten_recipe(cfg, 5)


@pytest.mark.parametrize('length', [0, 101, 2.5])
def test_lengths_out_of_range_are_refused(length):
    with pytest.raises(ValueError, match=f'`epochs` must be between 1 and the 100 of the recipe, but got {length}'):
        shorten_recipe(recipe(None), length)


def test_a_training_without_a_schedule():
    assert shorten_recipe(recipe(None), 5).param_scheduler is None

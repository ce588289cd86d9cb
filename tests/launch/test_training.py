"""A config is trained and tested once per folder, whatever interrupts it."""

import copy
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, Runner

from ean_mm.launch.training import make_runner, train_once

NO_RUN = ('work_dir', 'experiment_name', 'resume', 'load_from', 'launcher')


@pytest.fixture
def cfg(tiny_config):
    """A plain training: no supernet, no search, no noise."""
    tiny_config.custom_hooks = [dict(type='ean_mm.PlainCheckpointHook')]  # upstream resumes from no other checkpoints
    tiny_config.train_dataloader.dataset.pipeline = [dict(type='PackInputs')]
    tiny_config.work_dir = 'not/used'
    tiny_config.randomness = dict(seed=77, diff_rank_seed=True)
    return tiny_config


@pytest.fixture
def epochs(monkeypatch):
    """The folder and number of every epoch that is trained."""
    trained, original = [], EpochBasedTrainLoop.run_epoch

    def run_epoch(self):
        trained.append((Path(self.runner.work_dir).name, self.epoch))
        original(self)

    monkeypatch.setattr(EpochBasedTrainLoop, 'run_epoch', run_epoch)
    return trained


def weights_of(path):
    return torch.load(path, weights_only=True)['state_dict']


def are_equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_metrics_are_those_of_the_trained_network_on_the_test_set(cfg, tmp_path):
    before = copy.deepcopy(cfg.to_dict())
    metrics = train_once(cfg, tmp_path / 'run', 3)
    assert cfg.to_dict() == before
    assert metrics == json.loads((tmp_path / 'run/metrics.json').read_text())
    alone = Config(
        {**cfg.to_dict(), 'load_from': str(tmp_path / 'run/epoch_2.pth'), 'work_dir': str(tmp_path / 'alone')}
    )
    assert metrics == pytest.approx(Runner.from_cfg(alone).test())
    (dumped,) = (tmp_path / 'run').rglob('config.py')
    used = Config.fromfile(dumped).to_dict()
    assert used['randomness'] == dict(seed=3, diff_rank_seed=True)
    assert {key: used[key] for key in before if key not in (*NO_RUN, 'randomness')} == {
        key: value for key, value in before.items() if key not in (*NO_RUN, 'randomness')
    }


def test_what_has_finished_is_not_trained_again(cfg, tmp_path, monkeypatch):
    first = train_once(cfg, tmp_path / 'run', 0)
    monkeypatch.setattr(Runner, 'train', lambda self: pytest.fail('trained twice'))
    assert train_once(cfg, tmp_path / 'run', 0, lambda runner: pytest.fail('finished twice')) == first


def test_a_seed_makes_the_weights(cfg, tmp_path):
    for name, seed in (('one', 5), ('same', 5), ('other', 6)):
        train_once(cfg, tmp_path / name, seed)
    one, same, other = (weights_of(tmp_path / name / 'epoch_2.pth') for name in ('one', 'same', 'other'))
    assert are_equal(one, same)
    assert not are_equal(one, other)


def test_an_interrupted_training_goes_on_and_ends_as_one_that_was_not(cfg, tmp_path, epochs, monkeypatch):
    start = make_runner(cfg, tmp_path / 'start', 1)
    torch.save({'state_dict': start.model.state_dict()}, tmp_path / 'start.pth')
    cfg.load_from = str(tmp_path / 'start.pth')
    whole = train_once(cfg, tmp_path / 'whole', 0)
    counted, original = iter(range(4)), EpochBasedTrainLoop.run_iter

    def run_iter(self, *args):  # three iterations an epoch
        if next(counted, None) is None:
            raise KeyboardInterrupt
        original(self, *args)

    monkeypatch.setattr(EpochBasedTrainLoop, 'run_iter', run_iter)
    with pytest.raises(KeyboardInterrupt):
        train_once(cfg, tmp_path / 'broken', 0)
    monkeypatch.setattr(EpochBasedTrainLoop, 'run_iter', original)
    assert not (tmp_path / 'broken/metrics.json').exists()
    assert train_once(cfg, tmp_path / 'broken', 0) == whole
    assert epochs == [('whole', 0), ('whole', 1), ('broken', 0), ('broken', 1), ('broken', 1)]
    assert are_equal(*(weights_of(tmp_path / name / 'epoch_2.pth') for name in ('whole', 'broken')))


def test_the_training_counts_as_finished_when_the_caller_has_finished(cfg, tmp_path, epochs):
    def break_off(runner):
        raise KeyboardInterrupt

    seen = []
    with pytest.raises(KeyboardInterrupt):
        train_once(cfg, tmp_path / 'run', 0, break_off)
    metrics = train_once(cfg, tmp_path / 'run', 0, lambda runner: seen.append((tmp_path / 'run/metrics.json').exists()))
    assert seen == [False]
    assert metrics == json.loads((tmp_path / 'run/metrics.json').read_text())
    assert epochs == [('run', 0), ('run', 1)]  # tested again, not trained again

"""Supernet training under a plain Runner."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from ean_mm.evaluation import load_supernet
from ean_mm.hooks import SupernetHook
from ean_mm.hooks.gradient_guard import GradientGuard, TrainingFailedError
from ean_mm.structures.scheme_sampling import sample_scheme


@pytest.fixture
def supernet_config(tiny_config):
    tiny_config.custom_hooks = [dict(type='ean_mm.SupernetHook', seed=3)]
    return tiny_config


def watch_schemes(runner, seen):
    backbone = runner.model.backbone
    original = backbone.forward

    def forward(x):
        if backbone.training:
            seen.append(str(backbone.scheme))
        return original(x)

    backbone.forward = forward


def test_every_iteration_has_the_scheme_of_its_number(supernet_config):
    runner = Runner.from_cfg(supernet_config)
    seen = []
    watch_schemes(runner, seen)
    runner.train()
    assert seen == [str(sample_scheme((2, 2, 2), 'stratified', 3, i)) for i in range(6)]
    assert len(set(seen)) > 2
    assert str(runner.model.backbone.scheme) == '11 11 11'


def test_the_supernet_is_written_and_loads_without_code(supernet_config):
    runner = Runner.from_cfg(supernet_config)
    runner.train()
    supernet = load_supernet(Path(runner.work_dir) / 'supernet.pth')
    for key, value in runner.model.state_dict().items():
        assert torch.equal(supernet.state_dict[key], value)
    assert 'backbone.ean.stage0.attention.squeeze.weight' in supernet.state_dict
    assert supernet.identity['supernet'].startswith('[{')


def test_a_resumed_training_sees_the_schemes_it_would_have_seen(supernet_config):
    runner = Runner.from_cfg(supernet_config)
    runner.train()
    supernet_config.resume = True
    supernet_config.train_cfg.max_epochs = 3
    resumed = Runner.from_cfg(supernet_config)
    seen = []
    watch_schemes(resumed, seen)
    resumed.train()
    assert seen == [str(sample_scheme((2, 2, 2), 'stratified', 3, i)) for i in range(6, 9)]


def test_checkpoints_hold_plain_types_only(supernet_config):
    Runner.from_cfg(supernet_config).train()
    path = Path(supernet_config.work_dir) / 'epoch_2.pth'
    assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []
    torch.load(path, weights_only=True)


def test_validation_sees_every_connection(supernet_config):
    runner = Runner.from_cfg(supernet_config)
    seen = []
    backbone = runner.model.backbone
    original = backbone.forward
    backbone.forward = lambda x: seen.append((backbone.training, str(backbone.scheme))) or original(x)
    runner.train()
    assert {scheme for training, scheme in seen if not training} == {'11 11 11'}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(sampling='uniform'), "`sampling` must be one of .* but got 'uniform'"),
        (dict(seed=-1), '`seed` must be a whole number of at least 0, but got -1'),
        (dict(seed=0.5), '`seed` must be'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SupernetHook(**arguments)


def test_a_fixed_scheme_is_no_supernet(supernet_config):
    supernet_config.model.backbone.scheme = '10 00 00'
    with pytest.raises(ValueError, match="`scheme` must be 'all' to train a supernet, but got '10 00 00'"):
        Runner.from_cfg(supernet_config).train()


def test_a_model_without_the_wrapper_is_refused(supernet_config):
    supernet_config.model.backbone = dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8)
    with pytest.raises(ValueError, match=r'must contain one ean_mm.EANBackbone, but got 0 in .ImageCl'):
        Runner.from_cfg(supernet_config).train()


class TestGradientGuard:
    @pytest.fixture
    def setting(self):
        weight = torch.nn.Parameter(torch.ones(2))
        optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=0.1)
        return weight, optimizer, GradientGuard(optimizer, max_failures=2)

    def take_step(self, weight, optimizer, factor):
        optimizer.zero_grad()
        (weight * factor).sum().backward()
        optimizer.step()

    @pytest.mark.parametrize('bad', [math.nan, math.inf])
    def test_a_bad_gradient_leaves_no_trace(self, setting, bad):
        weight, optimizer, guard = setting
        self.take_step(weight, optimizer, 1.0)
        before = weight.detach().clone()
        momentum = optimizer.state[weight]['momentum_buffer'].clone()
        self.take_step(weight, optimizer, bad)
        assert torch.equal(weight, before)
        assert torch.equal(optimizer.state[weight]['momentum_buffer'], momentum)
        assert guard.num_dropped == 1
        self.take_step(weight, optimizer, 1.0)
        assert not torch.equal(weight, before)

    def test_several_in_a_row_stop_the_training(self, setting):
        weight, optimizer, _ = setting
        self.take_step(weight, optimizer, math.nan)
        self.take_step(weight, optimizer, 1.0)
        self.take_step(weight, optimizer, math.nan)
        with pytest.raises(TrainingFailedError, match='after 2 iterations in a row'):
            self.take_step(weight, optimizer, math.nan)

    def test_removed_it_guards_no_more(self, setting):
        weight, optimizer, guard = setting
        guard.remove()
        self.take_step(weight, optimizer, math.nan)
        assert weight.isnan().all()


def test_a_loss_that_is_never_a_number_stops_the_training(supernet_config):
    supernet_config.optim_wrapper.optimizer.lr = 1e30
    supernet_config.train_cfg.max_epochs = 10
    with pytest.raises(TrainingFailedError, match='the last checkpoint is intact'):
        Runner.from_cfg(supernet_config).train()

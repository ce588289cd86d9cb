"""The runner that builds what is needed, and networks that differ in their backbone."""

import pytest
import torch
from random_networks import CIFAR, SE, copy_state, has_state, wrap
from torch import nn

from ean_mm.hooks.wrapped_backbone import find_backbone
from ean_mm.launch.deployment.networks import make_quiet_runner, replace_module, with_backbone


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict(dict(backbone=wrap(CIFAR, SE, torch.float), head=nn.Linear(32, 2)))


def test_another_backbone_in_a_copy_of_the_rest():
    model = Model()
    before, backbone = copy_state(model), wrap(CIFAR, SE, torch.float)
    changed = with_backbone(model, backbone)
    assert find_backbone(changed) is backbone
    assert torch.equal(changed.parts['head'].weight, model.parts['head'].weight)
    assert changed.parts['head'] is not model.parts['head']
    assert has_state(model, before)


def test_only_a_part_of_the_model_is_replaced():
    model, stranger = Model(), nn.Conv2d(1, 1, 1)
    with pytest.raises(ValueError, match='`old` must be a part of the model, but got a Conv2d of elsewhere'):
        replace_module(model, stranger, stranger)
    replace_module(model, find_backbone(model), stranger)
    assert model.parts['backbone'] is stranger


def test_what_only_a_training_needs_is_not_built(plain_config, tmp_path):
    """A hook and an optimiser may be of packages that are not installed where the network is deployed."""
    plain_config.custom_hooks = [dict(type='NoSuchHook')]
    plain_config.default_hooks.logger = dict(type='NoSuchHook')
    plain_config.optim_wrapper = dict(type='NoSuchWrapper', optimizer=dict(type='NoSuchOptimizer'))
    plain_config.val_evaluator = dict(type='NoSuchMetric')
    before = plain_config.to_dict()
    runner = make_quiet_runner(plain_config, tmp_path / 'log')
    assert find_backbone(runner.model).attention_cfg == before['model']['backbone']['attention']
    assert plain_config.to_dict() == before

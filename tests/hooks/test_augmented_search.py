"""Supernet, search, ticket and retraining of an augmented backbone under a plain Runner."""

import copy
import json
from pathlib import Path

import pytest
import torch
from augmented_convs import BY_WIDTH, CFGS, EAA
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from ean_mm.hooks.wrapped_backbone import find_backbone, find_backbone_config
from ean_mm.models import AugmentedBackbone
from ean_mm.structures import Ticket

CIFAR = dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8)
RESNET_18 = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)


@pytest.fixture
def config(tiny_config):
    tiny_config.model.backbone = dict(type='ean_mm.AugmentedBackbone', backbone=CIFAR, conv=EAA)
    return tiny_config


def search(cfg):
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.train()
    return runner


def test_from_the_supernet_to_a_retrained_ticket(config, tmp_path):
    runner = search(config)
    directory = Path(config.work_dir)
    ticket = Ticket.load(directory / 'ticket.json')
    assert ticket.attention['type'] == 'ean_mm.EAAConv2d'
    assert ticket.sharing == 'block'
    assert ticket.backbone.blocks_per_stage == (2, 2, 2)
    assert runner.model.backbone.scheme == ticket.scheme
    rows = {row['name']: row for row in json.loads((directory / 'results.json').read_text())['rows']}
    assert ticket.params == rows['ticket']['params']
    assert len({rows[name]['macs'] for name in ('none', 'ticket', 'all')}) == 3
    timing = json.loads((directory / 'timing.jsonl').read_text().splitlines()[-1])
    assert 0 < timing['block_images'] < timing['naive_block_images']

    cfg = Config.fromfile(directory / 'retrain.py')
    cfg.work_dir = str(tmp_path / 'retrain')
    cfg.train_cfg = dict(by_epoch=False, max_iters=1)
    retrained = Runner.from_cfg(cfg)
    assert list(retrained.model.backbone.ean) == [
        group for group, bit in zip(runner.model.backbone.groups, ticket.scheme.mask, strict=True) if bit
    ]
    before = {key: value.clone() for key, value in retrained.model.backbone.ean.state_dict().items()}
    retrained.train()
    after = retrained.model.backbone.ean.state_dict()
    assert retrained.iter == 1
    assert ticket.scheme.num_connected > 0
    assert not any(torch.equal(after[key], value) for key, value in before.items() if 'weight' in key)


def test_the_ticket_network_scores_as_the_supernet_under_its_mask(config):
    runner = search(config)
    network = AugmentedBackbone(CIFAR, ticket=str(Path(config.work_dir) / 'ticket.json'))
    network.load_state_dict(runner.model.backbone.state_dict(), strict=False)
    image = torch.randn(2, 3, 32, 32)
    network.eval()
    runner.model.eval()
    with torch.no_grad():
        assert torch.equal(network(image)[0], runner.model.backbone(image)[0])


def test_shared_passes_change_no_number_and_widths_are_found_in_a_ticket(config, tmp_path):
    """The widths of ``feature_size`` are numbers in the config and text in the ticket."""
    config.model.backbone.update(backbone=RESNET_18, conv=CFGS['AAConv2d'])
    config.model.head.in_channels = 64
    search(config)
    alone = copy.deepcopy(config)
    alone.work_dir = str(tmp_path / 'alone')
    alone.custom_hooks[1].activation_budget = '0B'
    search(alone)
    for name in ('search.jsonl', 'ticket.json'):
        assert (Path(config.work_dir) / name).read_bytes() == (tmp_path / 'alone' / name).read_bytes()
    retrain = Config.fromfile(Path(config.work_dir) / 'retrain.py').model.backbone
    assert Ticket.load(retrain.ticket).attention['feature_size'] == {
        str(width): size for width, size in BY_WIDTH.items()
    }
    given = {key: value for key, value in retrain.items() if key != 'type'}
    network = AugmentedBackbone(**given)
    assert network.attention_spec == Ticket.load(retrain.ticket).attention
    given.pop('conv')
    assert AugmentedBackbone(**given).state_dict().keys() == network.state_dict().keys()


def test_a_ticket_is_no_supernet(config):
    config.model.backbone.scheme = '10 00 00'
    with pytest.raises(ValueError, match=r"`scheme` must be 'all' to train a supernet, but got '10 00 00'"):
        search(config)


@pytest.mark.parametrize('kind', ['ean_mm.AugmentedBackbone', AugmentedBackbone])
def test_it_is_found(kind):
    backbone = dict(type=kind, backbone=CIFAR, conv=EAA)
    assert find_backbone_config(dict(type='X', parts=[dict(backbone=backbone)])) is backbone
    net = AugmentedBackbone(CIFAR, EAA)
    assert find_backbone(nn.Sequential(nn.Identity(), net)) is net

"""Cost as a sum over sites equals the cost counted on each network by hand."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ean_mm.analysis import measure_cost
from ean_mm.models import EANBackbone
from ean_mm.structures import ConnectionScheme

CIFAR = dict(type='ean_mm.ResNetCifar', depth=20)
IMAGE = torch.zeros(1, 3, 32, 32)


def build(**arguments):
    return EANBackbone(CIFAR, dict(type='ean_mm.SE', reduction=4), **arguments)


def table(net):
    return measure_cost(net, net, lambda: net(IMAGE))


def test_the_bare_network_by_hand():
    cost = table(build()).bare
    stem = 32 * 32 * 3 * 16 * 9
    stage1 = 6 * 32 * 32 * 16 * 16 * 9
    stage2 = 16 * 16 * (16 * 32 * 9 + 5 * 32 * 32 * 9 + 16 * 32)
    stage3 = 8 * 8 * (32 * 64 * 9 + 5 * 64 * 64 * 9 + 32 * 64)
    assert cost.macs == stem + stage1 + stage2 + stage3
    assert cost.params == sum(p.numel() for p in build(scheme='none').parameters())


@pytest.mark.parametrize('sharing', ['stage', 'block'])
def test_every_scheme_is_the_sum_of_its_parts(sharing):
    costs = table(build(sharing=sharing))
    generator = np.random.default_rng(0)
    for _ in range(8):
        scheme = ConnectionScheme.from_mask(generator.random(9) < 0.4, (3, 3, 3))
        net = build(sharing=sharing, scheme=str(scheme)).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(IMAGE)
        assert costs.cost(scheme).macs == counter.get_total_flops() // 2
        assert costs.cost(scheme).params == sum(p.numel() for p in net.parameters())


def test_a_site_by_hand():
    site = table(build()).sites[4]
    assert site.shape == (32, 16, 16)
    assert site.group == 'stage1'
    assert site.macs == 2 * 32 * 8


def test_measuring_changes_nothing():
    net = build()
    net.train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    table(net)
    assert net.training
    assert all(module.training for module in net.modules())
    assert str(net.scheme) == '111 111 111'
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(slot._forward_hooks for slot in net.slots)

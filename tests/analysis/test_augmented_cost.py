"""The cost table of an augmented backbone against networks built of real layers."""

import numpy as np
import pytest
import torch
from augmented_convs import CFGS, EAA, augment, with_real_layers
from random_networks import CIFAR, PLAIN_ROWS, RESNET_18, RESNET_50, PlainNet

from ean_mm.analysis import Cost, count_work, measure_cost
from ean_mm.structures import ConnectionScheme

IMAGE = torch.zeros(1, 3, 32, 32)
CASES = {
    'cifar14-eaa': (CIFAR, EAA, {}),
    'r18-aa': (RESNET_18, CFGS['AAConv2d'], {}),
    'r18-eaa': (RESNET_18, EAA, {}),
    'r50-eaa': (RESNET_50, dict(EAA, num_heads=1, upsilon=0.5), {}),
    'biases-aa': (
        dict(type=PlainNet, ends=(None,) * 5),
        dict(CFGS['AAConv2d'], position='none'),
        dict(residual_blocks=PLAIN_ROWS),
    ),
}


def count_directly(network):
    with torch.no_grad():
        work = count_work(lambda: network(IMAGE))
    return Cost(sum(p.numel() for p in network.parameters()), work.macs, work.elementwise)


@pytest.mark.parametrize('case', CASES)
def test_every_scheme_costs_what_its_layers_do(case):
    if 'mmpretrain' in str(CASES[case]):
        pytest.importorskip('mmpretrain.models')
    backbone, conv, arguments = CASES[case]
    net = augment(backbone, conv, torch.float, **arguments)
    costs = measure_cost(net, net, lambda: net(IMAGE))
    layout = net.blocks_per_stage
    generator = np.random.default_rng([*map(ord, case)])
    schemes = [ConnectionScheme.from_mask(generator.random(sum(layout)) < 0.5, layout) for _ in range(4)]
    for scheme in [ConnectionScheme.none(layout), ConnectionScheme.all(layout), *schemes]:
        net.set_scheme(scheme)
        network, layers = with_real_layers(net, backbone)
        assert len(layers) == scheme.num_connected
        assert costs.cost(scheme) == count_directly(network), scheme
        with torch.no_grad():
            assert count_work(lambda: net(IMAGE)).macs == costs.cost(scheme).macs


def test_one_site_by_hand():
    """F_in = F_out = 8 and n = 16 * 16: v = 2, k = 4; nine weights of each of the last v rows rest."""
    net = augment(CIFAR, dtype=torch.float)
    site = measure_cost(net, net, lambda: net(IMAGE[..., :16, :16])).sites[0]
    assert (site.group, site.shape) == ('stage0_block0', (8, 16, 16))
    attention = 8 * (2 * 4 + 2) + 2 * 2
    assert site.macs == 256 * (attention - 9 * 8 * 2) + 2 * 256 * 4 * 2 // 2
    assert site.elementwise == 2 * 256 * 4
    table = measure_cost(net, net, lambda: net(IMAGE[..., :16, :16]))
    assert table.group_params['stage0_block0'] == attention - 9 * 8 * 2
    assert net.slots[0].num_resting == 9 * 8 * 2


def test_biases_rest_too():
    net = augment(dict(type=PlainNet), EAA, residual_blocks=PLAIN_ROWS)
    assert net.slots[0].num_resting == 9 * 8 * 2 + 2
    assert augment(dict(type=PlainNet), EAA, residual_blocks=PLAIN_ROWS, scheme='none').slots[0].num_resting == 0

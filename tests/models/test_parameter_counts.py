"""Parameter counts of the papers' networks, exactly."""

import pytest
from torch import nn

from ean_mm.models import EANBackbone, ResNetCifar

R50 = dict(type='mmpretrain.ResNet', depth=50)
# The published ResNet-50 has a bias in each of its 53 convolutions; MM's has none.
CONV_BIASES = 26_560


def count(module, num_classes, width):
    head = nn.Linear(width, num_classes)
    return sum(p.numel() for m in (module, head) for p in m.parameters())


@pytest.mark.parametrize(
    ('attention', 'sharing', 'scheme', 'expected'),
    [
        (dict(type='ean_mm.SE'), 'stage', 'none', 25_583_592),
        (dict(type='ean_mm.SE'), 'block', 'all', 28_114_584),
        (dict(type='ean_mm.SE'), 'stage', 'all', 26_283_992),
        (dict(type='ean_mm.SGE'), 'block', 'all', 25_585_640),
        (dict(type='ean_mm.SGE'), 'stage', 'all', 25_584_104),
        (dict(type='ean_mm.DIA', reduction=20), 'block', 'all', 35_710_400),
        (dict(type='ean_mm.DIA', reduction=20), 'stage', 'all', 28_384_612),
        (dict(type='ean_mm.SE'), 'stage', '010 0010 110011 001', 26_283_992),
    ],
)
def test_resnet50_on_imagenet(attention, sharing, scheme, expected):
    pytest.importorskip('mmpretrain')
    net = EANBackbone(R50, attention, sharing, scheme)
    assert count(net, 1000, 2048) == expected - CONV_BIASES


@pytest.mark.parametrize(
    ('depth', 'attention', 'sharing', 'expected'),
    [
        (38, None, None, 428_980),
        (38, dict(type='ean_mm.SE'), 'block', 473_892),
        (38, dict(type='ean_mm.SE'), 'stage', 440_208),
        (164, None, None, 1_727_284),
        (164, dict(type='ean_mm.SE'), 'block', 1_929_388),
        (164, dict(type='ean_mm.SE'), 'stage', 1_738_512),
        (164, dict(type='ean_mm.DIA', reduction=4), 'stage', 1_946_132),
    ],
)
def test_bottleneck_networks_on_cifar100(depth, attention, sharing, expected):
    net = ResNetCifar(depth, block='bottleneck')
    if attention is not None:
        cfg = dict(type='ean_mm.ResNetCifar', depth=depth, block='bottleneck')
        net = EANBackbone(cfg, attention, sharing)
    assert count(net, 100, 256) == expected

"""Cost as a sum over sites equals the cost counted on each network by itself, and by hand."""

import functools
import warnings

import numpy as np
import pytest
import torch
from mmengine.analysis import FlopAnalyzer
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ean_mm.analysis import Cost, count_work, measure_cost
from ean_mm.models import EANBackbone
from ean_mm.structures import ConnectionScheme

CIFAR = dict(type='ean_mm.ResNetCifar', depth=20)
IMAGE = torch.zeros(1, 3, 32, 32)
R50 = dict(type='mmpretrain.ResNet', depth=50)

NETWORKS = {
    'resnet20': CIFAR,
    'resnet18': dict(type='mmpretrain.ResNet', depth=18),
    'resnet50': R50,
}
ATTENTIONS = {
    'se': dict(type='ean_mm.SE', reduction=4),
    'sge': dict(type='ean_mm.SGE', groups=8),
    'dia': dict(type='ean_mm.DIA', reduction=4),
}


def build(network='resnet20', attention='se', **arguments):
    if network != 'resnet20':
        pytest.importorskip('mmpretrain')
    return EANBackbone(NETWORKS[network], ATTENTIONS[attention], **arguments).eval()


def table(net, image=IMAGE):
    return measure_cost(net, net, lambda: net(image))


def count_params(module):
    return sum(p.numel() for p in module.parameters())


def count_directly(net, image=IMAGE):
    """The cost of a network that was built for one scheme, and so holds no attention it does not use."""
    with torch.no_grad():
        work = count_work(lambda: net(image))
    return Cost(count_params(net), work.macs, work.elementwise)


def test_the_bare_network_by_hand():
    cost = table(build()).bare
    stem = 32 * 32 * 3 * 16 * 9
    stage1 = 6 * 32 * 32 * 16 * 16 * 9
    stage2 = 16 * 16 * (16 * 32 * 9 + 5 * 32 * 32 * 9 + 16 * 32)
    stage3 = 8 * 8 * (32 * 64 * 9 + 5 * 64 * 64 * 9 + 32 * 64)
    assert cost.macs == stem + stage1 + stage2 + stage3
    # norms after each convolution, the stem's relu, two relus and an addition in each block
    maps = [32 * 32 * 16, 16 * 16 * 32, 8 * 8 * 64]
    assert cost.elementwise == 2 * maps[0] + sum(3 * 5 * size for size in maps) + maps[1] + maps[2]
    assert cost.params == count_params(build(scheme='none'))


@pytest.mark.parametrize('sharing', ['stage', 'block'])
@pytest.mark.parametrize('attention', ATTENTIONS)
@pytest.mark.parametrize('network', NETWORKS)
def test_every_scheme_is_the_sum_of_its_parts(network, attention, sharing):
    net = build(network, attention, sharing=sharing)
    costs = table(net)
    layout = net.blocks_per_stage
    assert count_directly(net) == costs.cost(ConnectionScheme.all(layout))
    # seeds differ, so that together the cases try many schemes
    generator = np.random.default_rng([*map(ord, network + attention + sharing)])
    schemes = [ConnectionScheme.from_mask(generator.random(sum(layout)) < 0.4, layout) for _ in range(3)]
    for scheme in [ConnectionScheme.none(layout), *schemes]:
        assert count_directly(build(network, attention, sharing=sharing, scheme=str(scheme))) == costs.cost(scheme)


def test_one_site_by_hand():
    site = table(build()).sites[4]
    assert (site.group, site.shape) == ('stage1', (32, 16, 16))
    assert site.macs == 2 * 32 * 8
    assert site.elementwise == 2 * 32 * 16 * 16 + 8 + 32  # mean and product over the map, two activations


def test_every_call_of_a_recurrent_attention_costs_the_same():
    """The first call of a group has no state yet, and computes as much as any other."""
    sites = table(build(attention='dia')).sites
    for stage in range(3):
        calls = sites[3 * stage : 3 * stage + 3]
        assert len({(site.macs, site.elementwise) for site in calls}) == 1


@pytest.mark.parametrize('precision', ['autocast', 'double'])
def test_an_attention_is_counted_on_the_input_it_gets(precision):
    expected = table(build())
    net = build().to(memory_format=torch.channels_last)
    image = IMAGE.to(memory_format=torch.channels_last)
    if precision == 'double':
        net, image = net.double(), image.double()
    seen = []
    for attention in net.ean.values():
        attention.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    def run():
        with torch.autocast('cpu', torch.bfloat16, enabled=precision == 'autocast'):
            net(image)

    assert measure_cost(net, net, run) == expected
    assert len(seen) == 9
    assert {x.dtype for x in seen} == {torch.float64 if precision == 'double' else torch.bfloat16}
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in seen)


def resnet50_by_hand(size=224):
    """Multiply-accumulates of ResNet-50 with a head of 1000 classes; the stride is on the 3x3 convolutions."""
    macs = (size // 2) ** 2 * 3 * 64 * 49
    side, width_in = size // 4, 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        middle, width = 64 * 2**stage, 256 * 2**stage
        for block in range(blocks):
            before, side = side, side // (2 if stage and not block else 1)
            macs += before**2 * width_in * middle + side**2 * (9 * middle**2 + middle * width)
            if not block:
                macs += side**2 * width_in * width
            width_in = width
    return macs + 2048 * 1000


def test_resnet50_at_its_size():
    pytest.importorskip('mmpretrain')
    backbone = EANBackbone(R50, dict(type='ean_mm.SE'))
    net = nn.Sequential(backbone, _Last(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))
    costs = measure_cost(net, backbone, lambda: net(torch.zeros(1, 3, 224, 224)))
    # torchvision states 4.09 for its ResNet-50, which has the same convolutions
    assert costs.bare.macs == resnet50_by_hand() == 4_089_184_256
    assert costs.bare.params == 25_557_032
    sides = {256: 56, 512: 28, 1024: 14, 2048: 7}
    assert [site.shape for site in costs.sites] == [
        (width, sides[width], sides[width])
        for width, blocks in zip(sides, (3, 4, 6, 3), strict=True)
        for _ in range(blocks)
    ]
    for site in costs.sites:
        width, side, _ = site.shape
        assert site.macs == 2 * width * width // 16
        assert site.elementwise == 2 * width * side**2 + width // 16 + width


class _Last(nn.Module):
    def forward(self, outputs):
        return outputs[-1]


# what the papers' ResNet-50 has more: a bias in each of its 53 convolutions
CONV_BIASES = 26_560


@pytest.mark.parametrize(
    ('attention', 'sharing', 'expected'),
    [
        (dict(type='ean_mm.SE'), 'block', 28_114_584),
        (dict(type='ean_mm.SE'), 'stage', 26_283_992),
        (dict(type='ean_mm.SGE'), 'block', 25_585_640),
        (dict(type='ean_mm.SGE'), 'stage', 25_584_104),
        (dict(type='ean_mm.DIA', reduction=20), 'block', 35_710_400),
        (dict(type='ean_mm.DIA', reduction=20), 'stage', 28_384_612),
    ],
)
def test_parameters_of_the_papers(attention, sharing, expected):
    """A shared module is counted once; arXiv:2011.14058, ResNet-50 with 1000 classes."""
    pytest.importorskip('mmpretrain')
    backbone = EANBackbone(R50, attention, sharing)
    net = nn.Sequential(backbone, _Last(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))
    costs = measure_cost(net, backbone, lambda: net(IMAGE))
    none, everywhere = (
        costs.cost(scheme(backbone.blocks_per_stage)).params for scheme in (ConnectionScheme.none, ConnectionScheme.all)
    )
    assert none == 25_583_592 - CONV_BIASES
    assert everywhere == expected - CONV_BIASES


@pytest.mark.parametrize('network', NETWORKS)
@pytest.mark.parametrize('attention', ['se', 'dia'])
def test_matrix_products_agree_with_the_common_counters(network, attention):
    net = build(network, attention)
    macs = table(net).cost(ConnectionScheme.all(net.blocks_per_stage)).macs
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(IMAGE)
    assert macs == counter.get_total_flops() // 2
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the tracer of mmengine's analysis warns about constants
        by_operator = FlopAnalyzer(net, IMAGE).by_operator()
    # it counts one for each multiply-accumulate too; by its batch norms and pools the counters differ
    assert macs == sum(by_operator[name] for name in ('conv', 'linear', 'addmm') if name in by_operator)


def test_an_attention_without_matrix_products_is_seen_by_its_element_wise_work_alone():
    costs = table(build(attention='sge'))
    layout = (3, 3, 3)
    none, everywhere = costs.cost(ConnectionScheme.none(layout)), costs.cost(ConnectionScheme.all(layout))
    assert none.macs == everywhere.macs
    assert everywhere.elementwise > 1.5 * none.elementwise


def test_measuring_changes_nothing():
    net = build()
    net.set_scheme('101 000 111')
    net.train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    table(net)
    assert net.training
    assert all(module.training for module in net.modules())
    assert str(net.scheme) == '101 000 111'
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(slot._forward_hooks or slot._forward_pre_hooks for slot in net.slots)


def test_a_failed_run_leaves_the_network_as_it_was():
    net = build()
    net.set_scheme('101 000 111')
    with pytest.raises(RuntimeError, match='channels'):
        measure_cost(net, net, functools.partial(net, IMAGE[:, :1]))
    assert str(net.scheme) == '101 000 111'
    assert not any(slot._forward_hooks or slot._forward_pre_hooks for slot in net.slots)


def test_attentions_that_were_not_built_cannot_be_measured():
    with pytest.raises(ValueError, match=r"build it with scheme='all'"):
        table(build(scheme='100 000 000'))

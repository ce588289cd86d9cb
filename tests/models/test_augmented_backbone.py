"""Augmented block by block: equal to a network built of real layers, and to the bare one where no bit is on."""

import pytest
import torch
from augmented_convs import CFGS, CONVS, EAA, augment, build_bare, site_paths, with_real_layers
from random_networks import (
    CIFAR,
    NARROW,
    RESNET_18,
    RESNET_50,
    images,
    largest_error,
    run,
)
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from ean_mm.models import AugmentedBackbone
from ean_mm.structures import ConnectionScheme

DILATED = dict(
    type='mmseg.ResNetV1c', depth=50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True, **NARROW
)
FAMILIES = {
    'cifar14': (CIFAR, (2, 2, 2)),
    'r18': (RESNET_18, (2, 2, 2, 2)),
    'r50': (RESNET_50, (3, 3, 5, 2)),
    'r50caffe': (dict(RESNET_50, style='caffe'), (3, 4, 6, 3)),
    'seg50dilated': (DILATED, (3, 3, 6, 3)),
}
# RESNET_18 at 32 x 48, the images that are not square
AA = dict(CFGS['AAConv2d'], feature_size={8: (8, 12), 16: (4, 6), 32: (2, 3), 64: [1, 2]})


@pytest.fixture(params=FAMILIES)
def family(request):
    backbone, blocks = FAMILIES[request.param]
    package = backbone['type'].partition('.')[0]
    pytest.importorskip(package if package == 'ean_mm' else f'{package}.models')
    return backbone, blocks


@pytest.fixture(autouse=True)
def _mmpretrain():
    pytest.importorskip('mmpretrain.models')


def one_bit(net, bit):
    return ConnectionScheme.from_mask([bit == other for other in range(net.num_connections)], net.blocks_per_stage)


def bare_state(net):
    return {key: value for key, value in net.state_dict().items() if not key.startswith('ean.')}


# -- what is computed ------------------------------------------------------------------------------


def test_all_off_is_the_bare_backbone_bit_for_bit(family):
    backbone, blocks = family
    net, bare = augment(backbone, dtype=torch.float), build_bare(backbone, torch.float)
    assert net.blocks_per_stage == blocks
    bare.load_state_dict(bare_state(net))
    x = images(64, torch.float)
    for attention in net.ean.values():
        attention.register_forward_hook(lambda *_: pytest.fail('attention was called'))
    net.set_scheme('none')
    assert all(map(torch.equal, run(net, x), run(bare, x)))


@pytest.mark.parametrize('scheme', ['all', 'random'])
def test_bits_put_real_layers_in_place_of_convolutions(family, scheme):
    backbone, _ = family
    net = augment(backbone)
    mask = torch.rand(net.num_connections, generator=torch.Generator().manual_seed(1)) < 0.5
    net.set_scheme(scheme if scheme == 'all' else ConnectionScheme.from_mask(mask.tolist(), net.blocks_per_stage))
    expected, layers = with_real_layers(net, backbone)
    assert len(layers) == net.scheme.num_connected > 0
    found, wanted = run(net, images(64)), run(expected, images(64))
    assert largest_error(found, wanted) <= 1e-12
    net.set_scheme('none')
    off = run(net, images(64))
    assert [x.shape for x in off] == [x.shape for x in found]
    assert not torch.allclose(off[-1], found[-1])


@pytest.mark.parametrize('conv', [AA, EAA], ids=CONVS)
@pytest.mark.parametrize('bit', range(8))
def test_each_bit_augments_its_own_convolution(bit, conv):
    net = augment(RESNET_18, conv)
    net.set_scheme(one_bit(net, bit))
    expected, layers = with_real_layers(net, RESNET_18)
    stage, block = divmod(bit, 2)
    name = 'conv2' if stage and not block else 'conv1'  # conv1 of a block that makes the map smaller has stride 2
    assert list(layers) == [f'layer{stage + 1}.{block}.{name}']
    assert largest_error(run(net, images()), run(expected, images())) <= 1e-12


class Block(nn.Module):
    """A residual block whose first convolution is as given."""

    def __init__(self, **geometry):
        super().__init__()
        self.conv1 = nn.Conv2d(8, 8, **geometry)
        self.conv2 = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return x + self.conv2(torch.relu(self.conv1(x)))


class Net(nn.Module):
    def __init__(self, geometry):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.block = Block(**geometry)

    def forward(self, x):
        return (self.block(self.stem(x)),)


ROWS = dict(Block=dict(after='conv2'))


@pytest.mark.parametrize(
    'geometry',
    [
        dict(padding=1),
        dict(padding=1, bias=False),
        dict(padding='same'),
        dict(padding=2, dilation=2),
        dict(padding=(1, 2), dilation=(1, 2)),
        dict(padding='same', dilation=3, bias=False),
        dict(padding=1, padding_mode='circular'),
        dict(padding=2, dilation=2, padding_mode='reflect'),
    ],
)
def test_whatever_the_convolution_is_like(geometry):
    backbone = dict(type=Net, geometry=dict(kernel_size=3, **geometry))
    net = augment(backbone, residual_blocks=ROWS)
    expected, layers = with_real_layers(net, backbone)
    (layer,) = layers.values()
    assert (layer.conv.bias is None) is (layer.attention.qkv.bias is None) is (not geometry.get('bias', True))
    assert largest_error(run(net, images()), run(expected, images())) <= 1e-12


def test_tables_of_relative_positions_are_of_one_size():
    net = augment(RESNET_18, AA)
    run(net, images())
    with pytest.raises(ValueError, match=r'`x` must be of the size \(8, 12\) .* but got \(16, 20\)'):
        net(images(64))
    net.set_scheme('none')
    run(net, images(64))


# -- where there is a bit --------------------------------------------------------------------------


def test_a_bottleneck_has_it_in_the_middle():
    net = augment(RESNET_50)
    assert {site.slot for site in net.sites} == {'conv2'}
    assert set(site_paths(net)).isdisjoint({'layer2.0.conv2', 'layer3.0.conv2', 'layer4.0.conv2'})
    assert net.fingerprint.channels == (8, 16, 32, 64)
    assert [(site.stage, site.index) for site in net.sites[3:6]] == [(1, 0), (1, 1), (1, 2)]
    assert list(net.ean)[3:5] == ['stage1_block0', 'stage1_block1']


def test_a_dilated_stage_has_one_in_every_block():
    pytest.importorskip('mmseg.models')
    net = augment(DILATED)
    dilations = [slot.child.dilation[0] for slot in net.slots]
    assert dilations == [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 4, 4]
    assert all(path.startswith('layer') for path in site_paths(net))  # none in the deep stem, which is no block


def test_only_a_convolution_that_keeps_the_size_has_one():
    """The first 3x3 convolution of stride 1 and one group that computes with its weight as it stands."""

    class Wide(Block):
        def __init__(self):
            super().__init__(kernel_size=1)
            self.conv2 = nn.Conv2d(8, 8, 3, stride=2, padding=1)
            self.conv3 = nn.Conv2d(8, 8, 3, padding=1, groups=2)
            self.conv4 = nn.Conv2d(8, 8, 3)
            self.conv5 = nn.Conv2d(8, 8, 5, padding=2)
            self.conv6 = weight_norm(nn.Conv2d(8, 8, 3, padding=1))
            self.conv7 = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1))

    class WideNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.Sequential(Wide(), Block(kernel_size=1), Wide())

    net = AugmentedBackbone(dict(type=WideNet), EAA, residual_blocks=dict(Block=dict(after='conv2')))
    assert site_paths(net) == ['blocks.0.conv7.0', 'blocks.2.conv7.0']
    assert [(site.stage, site.index, site.slot) for site in net.sites] == [(0, 0, 'conv7.0'), (0, 1, 'conv7.0')]


def test_parallel_branches_have_it_in_the_first():
    """The sum is RepVGG's branch end; the slot acts on its convolution all the same."""
    arch = dict(num_blocks=[2, 2, 2, 2], width_factor=[0.125] * 4, group_layer_map=None, se_cfg=None)
    repvgg = dict(type='mmpretrain.RepVGG', arch=arch)
    net = augment(repvgg)
    assert {site.slot for site in net.sites} == {'branch_3x3.conv'}
    assert not any(site.comes_first for site in net.sites)
    expected, _ = with_real_layers(net, repvgg)
    assert largest_error(run(net, images()), run(expected, images())) <= 1e-12


def test_what_conv_cfg_augments_already_has_none():
    backbone = dict(type=Net, geometry=dict(kernel_size=3, padding=1))
    net = augment(backbone, residual_blocks=ROWS)
    layers = with_real_layers(net, backbone)[1]

    class Augmented(Net):
        def __init__(self):
            super().__init__(dict(kernel_size=3, padding=1))
            self.block.conv1 = layers['block.conv1']

    with pytest.raises(ValueError, match="convolution of stride 1 and one group, but got 'Augmented' without one"):
        AugmentedBackbone(dict(type=Augmented), EAA, residual_blocks=ROWS)


# -- training --------------------------------------------------------------------------------------


def gradients(net):
    for parameter in net.parameters():
        parameter.grad = None
    sum(x.square().sum() for x in net(images())).backward()
    return {name: parameter.grad for name, parameter in net.named_parameters()}


@pytest.mark.parametrize('conv', [AA, EAA], ids=CONVS)
def test_gradients_are_those_of_real_layers_and_resting_rows_have_none(conv):
    net = augment(RESNET_18, conv)
    net.train()
    net.set_scheme('10 01 00 11')
    expected, layers = with_real_layers(net, RESNET_18)
    gradients(net)
    wanted = gradients(expected)
    ours = {path: (slot, group) for path, slot, group in zip(site_paths(net), net.slots, net.groups, strict=True)}
    for path, layer in layers.items():
        slot, group = ours[path]
        found = slot.child.weight.grad
        num_rows = len(layer.conv.weight)
        assert largest_error(found[:num_rows], layer.conv.weight.grad) <= 1e-10
        assert not found[num_rows:].any()
        for name, parameter in layer.attention.named_parameters():
            assert largest_error(net.ean[group].get_parameter(name).grad, parameter.grad) <= 1e-8, name
    for path, (slot, group) in ours.items():
        if path not in layers:
            assert all(parameter.grad is None for parameter in net.ean[group].parameters())
            assert largest_error(slot.child.weight.grad, wanted[f'{path}.weight']) <= 1e-10
    assert largest_error(net.conv1.weight.grad, wanted['conv1.weight']) <= 1e-10


def test_checkpointed_blocks_have_the_same_gradients():
    plain, checkpointed = augment(RESNET_18), augment(dict(RESNET_18, with_cp=True))
    checkpointed.load_state_dict(plain.state_dict())
    found = []
    for net in (plain, checkpointed):
        net.train()
        net.set_scheme('11 01 00 10')
        found.append(gradients(net))
    for name, grad in found[0].items():
        assert (grad is None) is (found[1][name] is None), name
        assert grad is None or torch.allclose(found[1][name], grad, rtol=1e-10, atol=1e-12), name


def test_frozen_stages_freeze_their_attention():
    net = AugmentedBackbone(dict(RESNET_18, frozen_stages=2), EAA)
    net.train()
    frozen = [name for name, attention in net.ean.items() if not attention.training]
    assert frozen == ['stage0_block0', 'stage0_block1', 'stage1_block0', 'stage1_block1']
    for name, attention in net.ean.items():
        assert all(parameter.requires_grad == (name not in frozen) for parameter in attention.parameters())
    assert [slot.child.weight.requires_grad for slot in net.slots] == [False] * 4 + [True] * 4


# -- precision and layout --------------------------------------------------------------------------


@pytest.mark.parametrize('conv', [AA, EAA], ids=CONVS)
def test_autocast_computes_as_real_layers_do(conv):
    net = augment(RESNET_18, conv, torch.float)
    expected, _ = with_real_layers(net, RESNET_18)
    x = images(dtype=torch.float)
    exact = run(net, x)
    with torch.autocast('cpu', torch.bfloat16):
        found, wanted = run(net, x), run(expected, x)
    assert all(map(torch.equal, found, wanted))
    assert 0 < largest_error([y.float() for y in found], exact) < 0.1


@pytest.mark.parametrize('conv', [AA, EAA], ids=CONVS)
def test_channels_last_stays_so(conv):
    net = augment(RESNET_18, conv)
    expected = run(net, images())
    net = net.to(memory_format=torch.channels_last)
    seen = []
    for slot in net.slots:
        slot.register_forward_hook(lambda module, inputs, y: seen.append((inputs[0], y)))
    found = run(net, images().to(memory_format=torch.channels_last))
    assert largest_error(found, expected) <= 1e-12
    assert len(seen) == 8
    assert all(x.is_contiguous(memory_format=torch.channels_last) for pair in seen for x in pair)

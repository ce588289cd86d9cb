"""Weights of an augmented backbone in and out, what MM does to modules, and what is refused."""

import copy

import pytest
import torch
from augmented_convs import CFGS, EAA, augment, build_bare
from mmcv.cnn import fuse_conv_bn
from mmengine.model import ExponentialMovingAverage, revert_sync_batchnorm
from mmengine.runner.checkpoint import get_state_dict, load_state_dict
from random_networks import (
    CIFAR,
    PLAIN_ROWS,
    RESNET_18,
    RESNET_50,
    PlainNet,
    copy_state,
    has_state,
    images,
    largest_error,
    randomise,
    run,
)

from ean_mm.models import AugmentedBackbone, EANBackbone
from ean_mm.models.convolutions import AugmentedConv2d
from ean_mm.structures import ConnectionScheme

OF_ATTENTION = ['qkv.weight', 'projection.weight']


@pytest.fixture(autouse=True)
def _mmpretrain():
    pytest.importorskip('mmpretrain.models')


# -- keys ------------------------------------------------------------------------------------------


def test_keys_are_the_bare_ones_and_the_attentions():
    net, bare = augment(RESNET_18, scheme='10 00 00 01'), build_bare(RESNET_18)
    of_attention = [f'ean.{group}.{key}' for group in ('stage0_block0', 'stage3_block1') for key in OF_ATTENTION]
    assert list(net.state_dict()) == [*bare.state_dict(), *of_attention]
    assert list(get_state_dict(net)) == list(net.state_dict())
    assert {key: value.shape for key, value in net.state_dict().items() if key in bare.state_dict()} == {
        key: value.shape for key, value in bare.state_dict().items()
    }
    off = AugmentedBackbone(RESNET_18, EAA, 'none')
    assert list(off.state_dict()) == list(bare.state_dict())
    assert len(list(off.parameters())) == len(list(bare.parameters()))


def test_a_bias_and_tables_have_keys_too():
    aa = dict(CFGS['AAConv2d'], feature_size=4)
    net = AugmentedBackbone(dict(type=PlainNet), aa, residual_blocks=PLAIN_ROWS)
    parts = ('row_table', 'column_table', 'qkv.weight', 'qkv.bias', 'projection.weight', 'projection.bias')
    assert [key for key in net.state_dict() if key.startswith('ean.')] == [f'ean.stage0_block0.{key}' for key in parts]
    assert net.state_dict()['blocks.0.conv1.bias'].shape == (8,)


def test_all_of_it_goes_round():
    net, other = augment(RESNET_18), AugmentedBackbone(RESNET_18, EAA).double()
    other.load_state_dict(net.state_dict(), strict=True)
    assert has_state(other, copy_state(net))
    other.eval()
    assert all(map(torch.equal, run(other, images()), run(net, images())))
    wrapped = torch.nn.Sequential()
    wrapped.add_module('backbone', randomise(copy.deepcopy(net), seed=3))
    load_state_dict(wrapped, {f'backbone.{key}': value for key, value in copy_state(net).items()}, strict=True)
    assert has_state(wrapped.backbone, copy_state(net))


def test_a_file_goes_round(tmp_path):
    net, other = augment(RESNET_18), AugmentedBackbone(RESNET_18, EAA).double()
    torch.save(net.state_dict(), tmp_path / 'net.pth')
    other.load_state_dict(torch.load(tmp_path / 'net.pth', weights_only=True))
    assert has_state(other, copy_state(net))
    safetensors = pytest.importorskip('safetensors.torch')
    safetensors.save_file(net.state_dict(), tmp_path / 'net.safetensors')
    assert set(safetensors.load_file(tmp_path / 'net.safetensors')) == set(net.state_dict())


def test_a_plain_checkpoint_leaves_the_attention_as_it_was(monkeypatch):
    said = []
    monkeypatch.setattr('ean_mm.models.checkpoint_keys.print_log', lambda text, **_: said.append(text))
    net, bare = augment(RESNET_18), build_bare(RESNET_18)
    before = copy_state(net.ean)
    randomise(bare, seed=5)
    net.load_state_dict(bare.state_dict(), strict=False)
    assert has_state(net.ean, before)
    (line,) = said
    assert (
        f'{len(bare.state_dict())} loaded, 16 new (ean.stage0_block0.projection.weight, ean.stage0_block0.qkv' in line
    )
    net.set_scheme('none')
    assert all(map(torch.equal, run(net, images()), run(bare, images())))


def test_what_it_saves_loads_into_the_plain_backbone():
    net, bare = augment(RESNET_18), build_bare(RESNET_18)
    found = bare.load_state_dict(net.state_dict(), strict=False)
    assert not found.missing_keys
    assert all(key.startswith('ean.') for key in found.unexpected_keys)


@pytest.mark.parametrize('inside', [True, False])
def test_pretrained_weights_from_inside_or_outside(tmp_path, inside):
    bare = build_bare(RESNET_18, torch.float)
    torch.save({'state_dict': bare.state_dict()}, tmp_path / 'plain.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'plain.pth'))
    if inside:
        net = AugmentedBackbone(dict(RESNET_18, init_cfg=init_cfg), EAA)
    else:
        net = AugmentedBackbone(RESNET_18, EAA, init_cfg=init_cfg)
    before = copy_state(net.ean)
    net.init_weights()
    assert all(torch.equal(net.state_dict()[key], value) for key, value in bare.state_dict().items())
    assert has_state(net.ean, before)


def test_initialisers_see_the_whole_convolution():
    net = AugmentedBackbone(dict(RESNET_18, init_cfg=dict(type='Constant', layer='Conv2d', val=0.5)), EAA)
    net.init_weights()
    assert all((slot.child.weight == 0.5).all() for slot in net.slots)


def test_weights_of_another_network_are_refused():
    net = augment(RESNET_18)
    with pytest.raises(ValueError, match=r'keys of ResNet, but got .* missing keys \(ean.stage0_block0'):
        net.load_state_dict(EANBackbone(RESNET_18, dict(type='ean_mm.SE', reduction=4)).state_dict())
    by_conv_cfg = build_bare(dict(RESNET_18, conv_cfg=EAA))
    with pytest.raises(ValueError, match=r'mis-shaped keys \(layer1.0.conv1.weight'):
        net.load_state_dict(by_conv_cfg.state_dict(), strict=False)


def test_unused_attention_of_a_supernet_is_left_out():
    supernet = augment(RESNET_18)
    supernet.set_scheme('10 00 00 01')
    ticket = augment(RESNET_18, scheme='10 00 00 01')
    ticket.load_state_dict(supernet.state_dict())
    assert list(ticket.ean) == ['stage0_block0', 'stage3_block1']
    assert all(map(torch.equal, run(ticket, images()), run(supernet, images())))


# -- what MM does to modules -----------------------------------------------------------------------


def test_deepcopy():
    net = augment(RESNET_18)
    clone = copy.deepcopy(net)
    assert all(map(torch.equal, run(clone, images()), run(net, images())))
    assert all(slot.attention is clone.ean[group] for slot, group in zip(clone.slots, clone.groups, strict=True))
    clone.set_scheme('none')
    randomise(clone, seed=3)
    assert net.scheme.num_connected == 8
    assert not torch.equal(clone.ean['stage0_block0'].qkv.weight, net.ean['stage0_block0'].qkv.weight)


def test_an_average_of_weights():
    net = augment(RESNET_18)
    average = ExponentialMovingAverage(net, momentum=0.5)
    randomise(net, seed=3)
    average.update_parameters(net)
    assert all(map(torch.equal, run(average.module, images()), run(net, images())))


def test_sync_norms_are_turned_back():
    net = augment(dict(RESNET_18, norm_cfg=dict(type='SyncBN')))
    keys = list(net.state_dict())
    reverted = revert_sync_batchnorm(copy.deepcopy(net))
    assert list(reverted.state_dict()) == keys
    plain = augment(RESNET_18)
    plain.load_state_dict(net.state_dict())
    for scheme in ('all', '01 10 01 00'):
        reverted.set_scheme(scheme)
        plain.set_scheme(scheme)
        assert all(map(torch.equal, run(reverted, images()), run(plain, images())))


@pytest.mark.parametrize('backbone', [RESNET_18, RESNET_50, CIFAR])
def test_fusing_norms_leaves_its_function(backbone):
    net = augment(backbone)
    fused = fuse_conv_bn(copy.deepcopy(net))
    for scheme in ('all', 'none'):
        net.set_scheme(scheme)
        fused.set_scheme(scheme)
        assert largest_error(run(fused, images()), run(net, images())) <= 1e-10


# -- what is refused -------------------------------------------------------------------------------


def test_a_scheme_needs_its_attention():
    net = augment(RESNET_18, scheme='10 00 00 01')
    net.set_scheme('10 00 00 00')
    with pytest.raises(ValueError, match=r"connect only sites whose attention was built, .*'10 00 00 00'"):
        net.set_scheme('01 00 00 00')
    assert str(net.scheme) == '10 00 00 00'
    with pytest.raises(ValueError, match=r'`scheme` must have \(2, 2, 2, 2\) blocks per stage, but got'):
        net.set_scheme(ConnectionScheme.all((3, 4, 6, 3)))


@pytest.mark.parametrize(
    ('conv', 'message'),
    [
        (None, "`conv` must be a dict with a 'type', but got None; give one, like dict.*EAAConv2d'.*or a ticket"),
        ('ean_mm.EAAConv2d', "`conv` must be a dict with a 'type', but got 'ean_mm.EAAConv2d'; give one"),
        (dict(num_heads=2), r"`conv` must be a dict with a 'type', but got \{'num_heads': 2\}; give one"),
        (
            dict(type='ean_mm.EAConv2d'),
            "`conv` must name a registered model, but got .* did you mean 'ean_mm.EAAConv2d'",
        ),
        (
            dict(type='ean_mm.SE'),
            r"`conv` must be an augmented convolution \(ean_mm.AAConv2d, .*\), but got 'ean_mm.SE'",
        ),
        (dict(type='Conv2d'), "`conv` must be an augmented convolution .* but got 'Conv2d'"),
        (dict(type=torch.nn.Conv2d), "`conv` must be an augmented convolution .* but got <class '.*Conv2d'>"),
        (dict(EAA, stride=2, bias=True), "`conv` must leave stride, bias to the backbone's convolutions, but got"),
        (
            dict(EAA, num_heads=3),
            '`num_heads` must divide the 6 channels of keys and the 2 of values, but got 3; choose',
        ),
        (dict(EAA, upsilon=0.01), '`upsilon` must give at least one of the 8 channels to attention .* but got 0.01'),
        (dict(CFGS['AAConv2d'], feature_size={8: 8}), '`feature_size` must .* an entry for 16'),
    ],
)
def test_wrong_layers_are_named(conv, message):
    with pytest.raises(ValueError, match=message):
        AugmentedBackbone(RESNET_18, conv)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(scheme='11 11 11'), '`scheme` must'),
        (dict(scheme='11 11 11 12'), '`scheme` must'),
        (dict(backbone='ResNet'), "`backbone` must be a dict with a 'type', but got 'ResNet'"),
        (dict(backbone=dict(type='mmpretrain.VGG', depth=11)), "must have residual blocks .* but got 'VGG'"),
        (
            dict(backbone=dict(type='mmpretrain.RegNet', arch='regnetx_400mf')),
            "`backbone` must have a block with a 3x3 convolution of stride 1 and one group, but got 'RegNet' without one",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        AugmentedBackbone(**{**dict(backbone=RESNET_18, conv=EAA), **arguments})


def test_a_layer_that_builds_no_attention_is_refused():
    with pytest.raises(
        ValueError, match=r"`conv` must be an augmented convolution .*, but got <class '.*AugmentedConv2d'>"
    ):
        AugmentedBackbone(CIFAR, dict(EAA, type=AugmentedConv2d))

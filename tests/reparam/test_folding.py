"""A folded gate is gone, and nothing has changed: against the network with its attention, in float64."""

import pytest
import torch
from random_networks import (
    ASR,
    CIFAR,
    DIA,
    NARROW,
    PLAIN_ROWS,
    RESNET_18,
    RESNET_50,
    SE,
    PlainNet,
    build,
    copy_state,
    has_state,
    images,
    largest_error,
    run,
    wrap,
)
from torch import nn

from ean_mm.models import EANBackbone
from ean_mm.reparam import describe_site, find_fold_points, fold_constant_gates, fold_gates, release, scale_site

GROUP_NORM = dict(type='GN', num_groups=4)
REPVGG = dict(num_blocks=[1, 2, 1, 1], width_factor=[0.125] * 4, group_layer_map=None, se_cfg=None)
MOBILEONE = dict(num_blocks=[1, 2, 1, 1], width_factor=[0.125] * 4, num_conv_branches=[2] * 4, num_se_blocks=[0] * 4)

# The end of the branch: what is folded into.
FOLDED = {
    'BN of a basic block': CIFAR,
    'BN of a BasicBlock': RESNET_18,
    'BN of a Bottleneck': RESNET_50,
    'SyncBN': dict(RESNET_50, norm_cfg=dict(type='SyncBN')),
    'GN': dict(RESNET_50, norm_cfg=GROUP_NORM),
    'LN2d': dict(RESNET_50, norm_cfg=dict(type='mmpretrain.LN2d')),
    'linear layer': dict(type='mmpretrain.ConvNeXt', arch='atto'),
    'convolution': dict(type='mmpretrain.ConvNeXt', arch='atto', linear_pw_conv=False),
    'ConvModule in a sequence': dict(type='mmpretrain.MobileNetV2', widen_factor=0.25),
    'three branches': dict(type='mmpretrain.RepVGG', arch=REPVGG),
    'one merged branch': dict(type='mmpretrain.RepVGG', arch=REPVGG, deploy=True),
    'MobileOne': dict(type='mmpretrain.MobileOne', arch=MOBILEONE),
    'MobileOne, merged': dict(type='mmpretrain.MobileOne', arch=MOBILEONE, deploy=True),
}
TIMM = {
    'test_resnet': {},
    'test_convnext': {},
    'mobilenetv4_conv_small': {},
    'resnetv2_50': dict(layers=(1, 1, 1, 1), channels=(16, 32, 32, 32)),
}


def is_all_folded(net, folded):
    return net.scheme.num_connected == len(net.sites) and folded.scheme.num_connected == 0


# -- equality --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', FOLDED)
def test_folding_changes_nothing(name):
    if FOLDED[name]['type'].startswith('mmpretrain.'):
        pytest.importorskip('mmpretrain')
    check_fold(FOLDED[name])


@pytest.mark.parametrize('name', TIMM)
def test_folding_changes_nothing_in_timms_networks(name):
    pytest.importorskip('timm')
    pytest.importorskip('mmpretrain')
    check_fold(dict(type='mmpretrain.TIMMBackbone', model_name=name, **TIMM[name]))


def check_fold(backbone):
    net = wrap(backbone, ASR)
    before, x = copy_state(net), images()
    folded = fold_constant_gates(net)
    assert is_all_folded(net, folded)
    wanted = run(net, x)
    assert largest_error(run(folded, x), wanted) <= 1e-12
    assert largest_error(run(release(folded), x), wanted) <= 1e-12
    assert has_state(net, before)
    net.set_scheme('none')
    assert largest_error(run(net, x), wanted) > 1e-2  # the gates do something


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_in_float32_what_is_left_is_rounding(layout):
    net = wrap(CIFAR, ASR, torch.float).to(memory_format=layout)
    folded = fold_constant_gates(net)
    assert folded.backbone.conv1.weight.is_contiguous(memory_format=layout)
    x = images(dtype=torch.float).to(memory_format=layout)
    assert largest_error(run(folded, x), run(net, x)) <= 1e-5


@pytest.mark.parametrize('sharing', ['stage', 'block'])
@pytest.mark.parametrize('scheme', ['11 11 11', '10 00 01', '01 10 00'])
@pytest.mark.parametrize(
    'attention',
    [
        dict(ASR, num_insertions=2),
        dict(type='ean_mm.ASR', attention=DIA),
        dict(type='ean_mm.Stacked', attentions=[ASR, dict(ASR, attention=DIA)]),
    ],
    ids=['two insertions', 'DIA', 'stacked'],
)
def test_any_sharing_and_density(sharing, scheme, attention):
    net = wrap(CIFAR, attention, sharing=sharing, scheme=scheme)
    bare = release(fold_constant_gates(net))
    assert type(bare).__name__ == 'ResNetCifar'
    assert bare.state_dict().keys() == build(CIFAR).state_dict().keys()
    assert largest_error(run(bare, images()), run(net, images())) <= 1e-12


@pytest.mark.parametrize('kind', ['RepVGG', 'MobileOne'])
def test_a_folded_network_merges_its_own_branches(kind):
    pytest.importorskip('mmpretrain')
    arch = dict(RepVGG=REPVGG, MobileOne=MOBILEONE)[kind]
    net = wrap(dict(type=f'mmpretrain.{kind}', arch=arch), ASR)
    bare = release(fold_constant_gates(net))
    bare.switch_to_deploy()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in bare.modules())
    assert largest_error(run(bare, images()), run(net, images())) <= 1e-12


def test_a_merged_network_can_be_folded_too():
    pytest.importorskip('mmpretrain')
    net = wrap(dict(type='mmpretrain.RepVGG', arch=REPVGG), ASR)
    wanted = run(net, images())
    net.backbone.switch_to_deploy()
    folded = fold_constant_gates(net)
    assert is_all_folded(net, folded)
    assert largest_error(run(folded, images()), wanted) <= 1e-12


def test_by_hand():
    net = EANBackbone(CIFAR, ASR)
    norm = net.slots[3].child
    nn.init.constant_(norm.weight, 3.0)
    nn.init.constant_(norm.bias, -1.0)
    folded = fold_gates(net, {3: torch.linspace(0, 1.5, 16)})
    assert str(folded.scheme) == '11 10 11'
    torch.testing.assert_close(folded.slots[3].child.weight, 3 * torch.linspace(0, 1.5, 16))
    torch.testing.assert_close(folded.slots[3].child.bias, -torch.linspace(0, 1.5, 16))
    assert torch.equal(folded.slots[3].child.running_var, norm.running_var)
    assert (norm.weight == 3).all()


# -- the constant part of a stack ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('sharing', ['stage', 'block'])
@pytest.mark.parametrize('scheme', ['11 11 11', '10 01 00'])
def test_of_a_stack_the_rest_stays(sharing, scheme):
    stack = dict(type='ean_mm.Stacked', attentions=[ASR, SE])
    net = wrap(CIFAR, stack, sharing=sharing, scheme=scheme)
    folded = fold_constant_gates(net)
    assert folded.scheme == net.scheme
    assert folded.attention_cfg == SE
    assert not [name for name in folded.state_dict() if 'psi' in name or 'attentions' in name]
    assert largest_error(run(folded, images()), run(net, images())) <= 1e-12
    # its config and its keys are those of a network with SE
    plain = wrap(CIFAR, SE, sharing=sharing, scheme=scheme)
    plain.load_state_dict(folded.state_dict(), strict=True)
    assert all(torch.equal(*pair) for pair in zip(run(plain, images()), run(folded, images()), strict=True))
    assert type(net.slots[0].attention.attention).__name__ == 'Stacked'


def test_of_a_longer_stack_too():
    net = wrap(CIFAR, dict(type='ean_mm.Stacked', attentions=[ASR, ASR, DIA, SE]))
    folded = fold_constant_gates(net)
    assert folded.attention_cfg == dict(type='ean_mm.Stacked', attentions=[DIA, SE])
    assert largest_error(run(folded, images()), run(net, images())) <= 1e-12


# -- what cannot be folded -------------------------------------------------------------------------------------------------


def test_a_stack_stays_whole_where_one_site_cannot_take_the_constant():
    net = wrap_plain([None, nn.Softplus], dict(type='ean_mm.Stacked', attentions=[ASR, SE]))
    folded = fold_constant_gates(net)
    assert folded.attention_cfg == net.attention_cfg
    assert all(torch.equal(*pair) for pair in zip(run(folded, images()), run(net, images()), strict=True))


def wrap_plain(ends, attention=ASR, **arguments):
    ends = [(lambda width, end=end: end()) if end is nn.Softplus else end for end in ends]
    return wrap(dict(type=PlainNet, ends=ends), attention, residual_blocks=PLAIN_ROWS, **arguments)


def spectral(width):
    return nn.utils.parametrizations.spectral_norm(nn.Conv2d(width, width, 1))


def spectral_of_old(width):
    return nn.utils.spectral_norm(nn.Conv2d(width, width, 1))


def normed(width):
    return nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width, affine=False))


def instance_normed(width):
    return nn.InstanceNorm2d(width)


def activated(width):
    return nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU())


def preactivated(width):
    from mmcv.cnn import ConvModule

    return ConvModule(width, width, 1, norm_cfg=dict(type='BN'), act_cfg=None, order=('norm', 'conv', 'act'))


ENDS = {
    'Conv2d': (None, True),
    'ConvModule': (preactivated, True),
    'ParametrizedConv2d': (spectral, False),
    'Conv2d with a hook': (spectral_of_old, False),
    'norm without weights': (normed, False),
    'InstanceNorm2d': (instance_normed, False),
    'activation': (activated, False),
}


@pytest.mark.parametrize('name', ENDS)
def test_what_scales_with_its_weights_is_folded_and_nothing_else(name):
    end, can_fold = ENDS[name]
    net = wrap_plain([end, None])
    folded = fold_constant_gates(net)
    assert folded.scheme.mask.tolist() == [not can_fold, False]
    assert largest_error(run(folded, images()), run(net, images())) <= 1e-12


STAYING = {
    'SEResNet': dict(type='mmpretrain.SEResNet', depth=50, se_ratio=4, **NARROW),
    'RepVGG': dict(type='mmpretrain.RepVGG', arch=dict(REPVGG, se_cfg=dict(ratio=4, divisor=1))),
    'PoolFormer': dict(type='mmpretrain.PoolFormer', arch='s12'),
    'CSPDarkNet': dict(type='mmpretrain.CSPDarkNet', depth=53),
}


@pytest.mark.parametrize('name', STAYING)
def test_behind_an_own_attention_or_activation_it_stays_connected(name):
    pytest.importorskip('mmpretrain')
    net = wrap(STAYING[name], ASR)
    folded = fold_constant_gates(net)
    assert folded.scheme == net.scheme
    assert folded.scheme.num_connected
    assert all(torch.equal(*pair) for pair in zip(run(folded, images()), run(net, images()), strict=True))


def test_only_mobileones_blocks_without_se_are_folded():
    pytest.importorskip('mmpretrain')
    net = wrap(dict(type='mmpretrain.MobileOne', arch=dict(MOBILEONE, num_se_blocks=[0, 1, 1, 0])), ASR)
    folded = fold_constant_gates(net)
    assert folded.scheme.mask.tolist() == [not isinstance(site.block.se, nn.Identity) for site in net.sites]
    assert 0 < folded.scheme.num_connected < len(net.sites)
    assert largest_error(run(folded, images()), run(net, images())) <= 1e-12


def test_in_front_of_a_norm_and_an_activation_it_stays_connected():
    """The branch of EfficientNetV2's first blocks is a convolution with norm and activation, named by its convolution."""
    pytest.importorskip('mmpretrain')
    from mmpretrain.models.backbones.efficientnet_v2 import EnhancedConvModule

    def end(width):
        return EnhancedConvModule(width, width, 3, padding=1, norm_cfg=dict(type='BN'), has_skip=True)

    net = wrap(dict(type=PlainNet, ends=[end]), ASR)
    assert type(net.sites[0].block).__name__ == 'EnhancedConvModule'
    assert find_fold_points(net, 0) == ()
    assert fold_constant_gates(net).scheme == net.scheme


def test_in_front_of_timms_own_attention_it_stays_connected():
    pytest.importorskip('timm')
    from timm.layers import SEModule
    from timm.models.cspnet import BottleneckBlock

    def end(width):
        return BottleneckBlock(width, width, bottle_ratio=1.0, attn_last=True, attn_layer=SEModule)

    net = wrap(dict(type=PlainNet, ends=[end]), ASR)
    assert type(net.sites[0].block) is BottleneckBlock
    assert fold_constant_gates(net).scheme == net.scheme
    net.sites[0].block.attn3 = nn.Identity()
    folded = fold_constant_gates(net)
    assert is_all_folded(net, folded)
    assert largest_error(run(folded, images()), run(net, images())) <= 1e-12


def test_attention_that_looks_at_the_image_stays():
    net = wrap(CIFAR, SE)
    assert fold_constant_gates(net).scheme == net.scheme


# -- messages --------------------------------------------------------------------------------------------------------------


def test_a_gate_that_fits_nowhere_is_refused():
    net = wrap_plain([None, nn.Softplus])
    assert describe_site(net, 1) == 'stage 1 block 2, a PlainBlock that ends in Softplus'
    message = (
        '`site` must be one whose branch ends in a norm, convolution or linear layer, but got 1, stage 1 block 2, a '
        'PlainBlock that ends in Softplus; leave its attention connected'
    )
    with pytest.raises(ValueError, match=message):
        scale_site(net, 1, torch.ones(8))
    with pytest.raises(ValueError, match=message):
        fold_gates(net, {1: torch.ones(8)})


def test_a_connected_backbone_is_not_released():
    net = wrap(CIFAR, SE, scheme='01 00 00')
    message = "`backbone` must have no connected site to be released, but got '01 00 00'; fold its gates first"
    with pytest.raises(ValueError, match=message):
        release(net)


def test_a_released_backbone_is_a_copy():
    net = wrap(CIFAR, SE, scheme='none')
    before = copy_state(net)
    bare = release(net)
    nn.init.zeros_(bare.conv1.weight)
    assert has_state(net, before)
    assert [type(slot).__name__ for slot in net.slots] == ['SiteSlot'] * 6

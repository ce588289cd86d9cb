"""The attention-augmented convolution against a loop over pairs of positions, and in MM's networks."""

import math

import pytest
import torch
from augmented_convs import (
    AUGMENTED_IN_RESNET18,
    CFGS,
    CONVS,
    augmented_names,
    build_conv,
    build_resnet,
    draw,
    head_parts,
    project,
)
from mmcv.cnn import build_conv_layer, fuse_conv_bn
from torch import nn

from ean_mm.analysis import count_work
from ean_mm.models import AAConv2d, EANBackbone
from ean_mm.models.convolutions import can_be_augmented
from ean_mm.registry import MODELS

SIZE = {'AAConv2d': dict(feature_size=6), 'EAAConv2d': {}}


def attend_by_loop(attention, image, height, width):
    """Every pair of positions by itself: softmax over j of (q_i.k_j + q_i.r_H[dy] + q_i.r_W[dx]) / sqrt(k/h)."""
    heads = []
    for queries, keys, values in head_parts(attention, image):
        out = torch.zeros_like(values)
        for i, query in enumerate(queries):
            logits = []
            for j, key in enumerate(keys):
                logit = query @ key
                if attention.feature_size is not None:
                    logit += query @ attention.row_table[j // width - i // width + height - 1]
                    logit += query @ attention.column_table[j % width - i % width + width - 1]
                logits.append(logit / math.sqrt(len(key)))
            out[i] = torch.stack(logits).softmax(0) @ values
        heads.append(out)
    return project(attention, heads, image)


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('position', ['fixed', 'none'])
def test_it_equals_a_loop_over_pairs(position, bias):
    conv = build_conv(AAConv2d, 5, 12, 3, position=position, feature_size=(3, 4), upsilon=0.5, kappa=0.5, bias=bias)
    x = draw(2, 5, 3, 4)
    plain = nn.functional.conv2d(x, conv.conv.weight, conv.conv.bias, padding=1)
    attended = torch.stack([attend_by_loop(conv.attention, image, 3, 4) for image in x])
    torch.testing.assert_close(conv(x), torch.cat((plain, attended), 1), rtol=1e-12, atol=1e-12)
    assert (conv.conv.bias is None) is (conv.attention.qkv.bias is None) is (conv.attention.projection.bias is None)


def test_relative_terms_depend_on_the_distance_alone():
    """With keys of zero the logits are the tables', and the map of one axis is a Toeplitz matrix before the softmax."""
    conv = build_conv(AAConv2d, 5, 16, 3, feature_size=(1, 4))
    queries = torch.ones(1, 2, 4, conv.key_channels // 2, dtype=torch.double)
    logits = conv.attention._relate_positions(queries, (1, 4))
    by_distance = conv.attention.column_table.sum(1) + conv.attention.row_table.sum()
    expected = torch.stack([torch.stack([by_distance[j - i + 3] for j in range(4)]) for i in range(4)])
    torch.testing.assert_close(logits[0], expected.expand(2, 4, 4), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('position', ['fixed', 'none'])
def test_gradients_agree_with_finite_differences(position):
    conv = build_conv(AAConv2d, 2, 8, 3, position=position, feature_size=(2, 3))
    names, values = zip(*conv.named_parameters(), strict=True)

    def call(x, *parameters):
        return torch.func.functional_call(conv, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (draw(2, 2, 2, 3).requires_grad_(), *values))


def test_parameters_and_work_are_those_of_the_docstring():
    """F_in 6, F_out 16, k = 2 heads of 5, v = 4, 3 x 5 positions."""
    conv = build_conv(AAConv2d, 6, 16, 3, feature_size=(3, 5), min_key_channels_per_head=5, bias=False)
    assert (conv.key_channels, conv.value_channels) == (10, 4)
    weights = 9 * 6 * 12 + 6 * 24 + 4 * 4
    assert sum(p.numel() for p in conv.parameters()) == weights + (5 + 9) * 5
    work = count_work(lambda: conv(draw(1, 6, 3, 5)))
    assert work.macs == 15 * weights + 15 * 15 * 14 + 15 * 10 * 8
    assert work.elementwise == 15 * 10 + 2 * 2 * 15 * 15
    free = build_conv(AAConv2d, 6, 16, 3, position='none', min_key_channels_per_head=5)
    assert sum(p.numel() for p in free.parameters()) == weights + 16 + 20 + 4
    work = count_work(lambda: free(draw(1, 6, 3, 5)))
    assert work.macs == 15 * weights + 15 * 15 * 14
    assert work.elementwise == 15 * 10 + 2 * 15 * 15


def test_the_floor_of_key_channels():
    """AA-Net's 20 per head by default; kappa where it gives more, rounded."""
    widths = [AAConv2d(8, 64, 3, padding=1, kappa=kappa, position='none').key_channels for kappa in (0, 0.25, 3)]
    assert widths == [160, 160, 192]
    assert build_conv(AAConv2d, 8, 30, 3, kappa=0.2, upsilon=0.2, position='none').key_channels == 6


def test_tables_are_of_one_layer_and_shared_by_its_heads():
    resnet = build_resnet(CFGS['AAConv2d'])
    tables = {name: p for name, p in resnet.named_parameters() if '_table' in name}
    assert len(tables) == len({p.data_ptr() for p in tables.values()}) == 2 * len(AUGMENTED_IN_RESNET18)
    assert tables['layer2.0.conv2.attention.row_table'].shape == (2 * 4 - 1, 2)


@pytest.mark.parametrize('feature_size', [{8: 3, 16: (4, 6)}, {'8': 3, '16': [4, 6]}, (4, 6), [4, 6]])
def test_a_size_by_width_may_have_numbers_or_text_for_keys(feature_size):
    """In JSON, and in a config that mmengine has written, a key is text."""
    assert AAConv2d(8, 16, 3, padding=1, num_heads=2, feature_size=feature_size).attention.feature_size == (4, 6)


@pytest.mark.parametrize(
    ('geometry', 'expected'),
    [
        ((3, 1, 1), True),
        (((3, 3), (1, 1), 1), True),
        (((3, 3), 1, 1), True),
        ((1, 1, 1), False),
        (((3, 1), 1, 1), False),
        ((5, 1, 1), False),
        ((3, 2, 1), False),
        ((3, (1, 2), 1), False),
        ((3, 1, 2), False),
    ],
)
def test_which_convolutions_can_be_augmented(geometry, expected):
    assert can_be_augmented(*geometry) is expected
    kernel_size, stride, groups = geometry
    conv = AAConv2d(8, 16, kernel_size, stride, padding=1, groups=groups, num_heads=2, position='none')
    assert conv.is_augmented is expected


# -- a plain convolution elsewhere -----------------------------------------------------------------

PLAIN = [
    dict(kernel_size=1),
    dict(kernel_size=7, padding=3),
    dict(kernel_size=(3, 1), padding=(1, 0)),
    dict(kernel_size=3, stride=2, padding=1),
    dict(kernel_size=3, stride=(1, 2), padding=1),
    dict(kernel_size=3, padding=1, groups=4),
]


@pytest.mark.parametrize('name', CONVS)
@pytest.mark.parametrize('arguments', PLAIN)
def test_elsewhere_it_is_the_plain_convolution(name, arguments):
    plain = nn.Conv2d(8, 16, **arguments)
    conv = build_conv_layer(dict(type=f'ean_mm.{name}'), 8, 16, **arguments)
    assert type(conv) is MODELS.get(f'ean_mm.{name}')
    assert not conv.is_augmented
    conv.load_state_dict(plain.state_dict())
    assert list(conv.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 8, 7, 6)
    assert torch.equal(conv(x), plain(x))


@pytest.mark.parametrize('name', CONVS)
@pytest.mark.parametrize('geometry', [dict(dilation=2, padding=2), dict(dilation=(1, 2), padding='same')])
def test_a_dilated_one_is_augmented(name, geometry):
    conv = build_conv(MODELS.get(f'ean_mm.{name}'), 4, 8, 3, **geometry, **SIZE[name])
    x = draw(1, 4, 6, 6)
    plain = nn.functional.conv2d(x, conv.conv.weight, conv.conv.bias, **geometry)
    torch.testing.assert_close(conv(x)[:, :-2], plain, rtol=1e-12, atol=1e-12)
    assert torch.equal(conv(x)[:, -2:], conv.attention(x))


# -- in MM's networks ------------------------------------------------------------------------------


@pytest.mark.parametrize('name', CONVS)
def test_a_resnet_18_has_exactly_these_augmented_and_trains(name):
    pytest.importorskip('mmpretrain.models')
    resnet = build_resnet(CFGS[name], zero_init_residual=False, out_indices=(0, 3))
    assert augmented_names(resnet) == AUGMENTED_IN_RESNET18
    features = resnet(torch.randn(2, 3, 32, 32))
    assert [tuple(x.shape) for x in features] == [(2, 8, 8, 8), (2, 64, 1, 1)]
    sum(x.square().sum() for x in features).backward()
    assert [key for key, p in resnet.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(('style', 'number'), [('pytorch', 13), ('caffe', 16)])
def test_a_bottleneck_has_its_middle_convolution_augmented(style, number):
    pytest.importorskip('mmpretrain.models')
    names = augmented_names(build_resnet(CFGS['EAAConv2d'], depth=50, expansion=4, base_channels=32, style=style))
    assert len(names) == number
    assert all(name.endswith('.conv2') for name in names)


def test_the_3x3_stem_of_a_cifar_resnet_is_augmented_too():
    pytest.importorskip('mmpretrain.models')
    resnet = build_resnet(CFGS['AAConv2d'], type='mmpretrain.ResNet_CIFAR')
    assert augmented_names(resnet) == AUGMENTED_IN_RESNET18 | {'conv1'}


def test_a_dilated_segmentation_resnet_and_its_deep_stem_are_augmented_too():
    pytest.importorskip('mmseg.models')
    dilated = dict(type='mmseg.ResNetV1c', stem_channels=16, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    names = augmented_names(build_resnet(CFGS['EAAConv2d'], depth=50, **dilated))
    assert {name for name in names if name.startswith('stem')} == {'stem.3', 'stem.6'}
    assert len(names) == 2 + 16 - 1  # one stage starts with a stride on a 3x3 convolution


@pytest.mark.parametrize('name', CONVS)
def test_plain_weights_load_where_a_convolution_is_plain(name):
    pytest.importorskip('mmpretrain.models')
    plain, resnet = build_resnet(None), build_resnet(CFGS[name])
    keys = set(plain.state_dict())
    extra = set(resnet.state_dict()) - keys
    assert keys <= set(resnet.state_dict())
    assert all('.attention.' in key for key in extra)
    wrong = {key for key in keys if plain.state_dict()[key].shape != resnet.state_dict()[key].shape}
    assert wrong == {f'{augmented}.weight' for augmented in AUGMENTED_IN_RESNET18}


@pytest.mark.parametrize('name', CONVS)
def test_initialisers_reach_every_convolution_inside(name):
    pytest.importorskip('mmpretrain.models')
    resnet = build_resnet(CFGS[name], init_cfg=dict(type='Constant', layer='Conv2d', val=0.5))
    convs = [module for module in resnet.modules() if isinstance(module, nn.Conv2d)]
    assert len(convs) == 20 + 2 * len(AUGMENTED_IN_RESNET18)
    assert all((conv.weight == 0.5).all() for conv in convs)


@pytest.mark.parametrize('name', CONVS)
def test_attention_of_ean_plugs_into_an_augmented_network(name):
    pytest.importorskip('mmpretrain.models')
    backbone = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8, conv_cfg=CFGS[name])
    bare = build_resnet(CFGS[name], zero_init_residual=False)
    bare.eval()
    wrapped = EANBackbone(backbone=backbone, attention=dict(type='ean_mm.SE', reduction=4))
    wrapped.load_state_dict({**wrapped.state_dict(), **bare.state_dict()})
    wrapped.eval()
    x = torch.randn(2, 3, 32, 32)
    outputs = {}
    for scheme in ('none', 'all'):
        wrapped.set_scheme(scheme)
        outputs[scheme] = wrapped(x)[0]
    assert torch.equal(outputs['none'], bare(x)[0])
    assert not torch.equal(outputs['all'], bare(x)[0])


@pytest.mark.parametrize('name', CONVS)
def test_fusing_norms_leaves_its_function(name):
    pytest.importorskip('mmpretrain.models')
    resnet = build_resnet(CFGS[name], zero_init_residual=False).double()
    x = draw(2, 3, 32, 32)
    resnet(x)  # running statistics other than 0 and 1
    resnet.eval()
    expected = resnet(x)[0].detach()
    torch.testing.assert_close(fuse_conv_bn(resnet)(x)[0], expected, rtol=1e-10, atol=1e-10)


# -- refusals --------------------------------------------------------------------------------------


def test_a_map_of_another_size_is_refused():
    conv = build_conv(AAConv2d, 4, 8, 3, feature_size=(4, 5))
    with pytest.raises(ValueError, match=r'`x` must be of the size \(4, 5\) .* but got \(5, 4\); name it as'):
        conv(draw(1, 4, 5, 4))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(feature_size=None), '`feature_size` must be one number.* entry for 16, .* but got None; position='),
        (dict(feature_size={8: 4}), r'`feature_size` must be one number.* entry for 16, .* but got \{8: 4\}'),
        (dict(feature_size={'8': 4}), r"`feature_size` must be one number.* entry for 16, .* but got \{'8': 4\}"),
        (dict(feature_size=(4,)), r'`feature_size` must be one number, .* but got \(4,\)'),
        (dict(feature_size=(4, 0)), '`feature_size` must be a whole number of at least 1, but got 0'),
        (dict(position='learnt'), r"`position` must be one of \('fixed', 'none'\), but got 'learnt'"),
    ],
)
def test_wrong_positions_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_conv(AAConv2d, 8, 16, 3, **arguments)


@pytest.mark.parametrize('name', CONVS)
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            dict(num_heads=3),
            '`num_heads` must divide the 6 channels of keys and the 4 of values, but got 3; choose kappa and upsilon to fit '
            'the 16 channels',
        ),
        (
            dict(kappa=0.3125),
            '`num_heads` must divide the 5 channels of keys and the 4 of values, but got 2; choose kappa and upsilon',
        ),
        (dict(num_heads=0), '`num_heads` must be a whole number of at least 1, but got 0'),
        (dict(upsilon=1), '`upsilon` must give at least one of the 16 channels .* but got 1, which gives 16'),
        (dict(upsilon=0.01), '`upsilon` must give at least one of the 16 channels .* but got 0.01, which gives 0'),
        (dict(upsilon=1.5), '`upsilon` must be a number between 0 and 1, but got 1.5'),
        (dict(kappa=-1), '`kappa` must be a number of at least 0, but got -1'),
        (
            dict(min_key_channels_per_head=0),
            '`min_key_channels_per_head` must be a whole number of at least 1, but got 0',
        ),
        (dict(padding=0), '`padding` must be that of `dilation`, 1, in an augmented 3x3 convolution, .* but got 0'),
        (dict(dilation=2), '`padding` must be that of `dilation`, 2, in an augmented 3x3 convolution, .* but got 1'),
        (dict(padding='valid'), "`padding` must be that of `dilation`, 1, in an .* but got 'valid'"),
    ],
)
def test_wrong_arguments_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_conv(MODELS.get(f'ean_mm.{name}'), 8, 16, 3, **{**SIZE[name], **arguments})

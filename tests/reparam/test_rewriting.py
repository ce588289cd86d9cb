"""A rewritten backbone computes what the given one does, and looks as it should: against the one that was given."""

import copy
import operator
from collections import Counter

import pytest
import torch
from random_networks import (
    ASR,
    CIFAR,
    DIA,
    NARROW,
    RESNET_18,
    RESNET_50,
    SE,
    PlainNet,
    build,
    check_rewritten,
    images,
    largest_error,
    randomise,
    run,
    wrap,
)
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ean_mm.reparam import fold_constant_gates, rewrite
from ean_mm.reparam.rewriting import mean_behind, mean_of, multiply, multiply_and_add

SGE = dict(type='ean_mm.SGE', groups=4)
SAMPLE = torch.zeros(1, 3, 64, 64)


def count_calls(graph_module):
    """How often each function, method or kind of module is called."""
    modules = dict(graph_module.named_modules())
    return Counter(
        type(modules[str(node.target)]).__name__ if node.op == 'call_module' else node.target
        for node in graph_module.graph.nodes
        if node.op.startswith('call')
    )


def widths_of_means(graph_module, x):
    """How many channels each map has that is averaged in one pass, in order."""

    class Watched(fx.Interpreter):
        def call_function(self, target, args, kwargs):
            if target is mean_of:
                widths.append(args[0].shape[1])
            return super().call_function(target, args, kwargs)

    widths = []
    with torch.no_grad():
        Watched(graph_module).run(x)
    return widths


# -- equality ----------------------------------------------------------------------------------------------------------------

ATTENTIONS = {
    'SE': SE,
    'SE as identity': dict(SE, gate_init='identity'),
    'DIA': DIA,
    'SGE': SGE,
    'EfficientAttention': dict(type='ean_mm.EfficientAttention', key_channels=4),
    'two': dict(type='ean_mm.Stacked', attentions=[SE, DIA]),
    'constant': ASR,
    'constant and more': dict(type='ean_mm.Stacked', attentions=[ASR, SE]),
    'constant and a map': dict(type='ean_mm.Stacked', attentions=[ASR, SGE]),
    'recurrent, with a map': dict(type='ean_mm.Stacked', attentions=[DIA, SGE]),
}


@pytest.mark.parametrize('name', ATTENTIONS)
@pytest.mark.parametrize('backbone', [CIFAR, dict(CIFAR, depth=20, block='bottleneck')], ids=['basic', 'bottleneck'])
def test_every_attention(backbone, name):
    check_rewritten(wrap(backbone, ATTENTIONS[name]))


@pytest.mark.parametrize('name', ['se', 'ese', 'eca', 'ecam', 'ceca', 'cbam'])
def test_timms_attention(name):
    pytest.importorskip('timm')
    check_rewritten(wrap(CIFAR, dict(type='ean_mm.TimmAttention', name=name)))


@pytest.mark.parametrize('attention', [SE, DIA, SGE], ids=['SE', 'DIA', 'SGE'])
@pytest.mark.parametrize('sharing', ['stage', 'block'])
@pytest.mark.parametrize('scheme', ['111 111 111', '101 000 011', '000 100 000', 'none'])
def test_any_sharing_and_density(attention, sharing, scheme):
    net = wrap(dict(CIFAR, depth=20), attention, sharing=sharing, scheme=scheme)
    rewritten = check_rewritten(net)
    connected = {group for group, bit in zip(net.groups, net.scheme.mask, strict=True) if bit}
    assert {name.split('.')[1] for name in rewritten.state_dict() if name.startswith('ean.')} == connected


def test_a_network_that_was_built_for_more_sites():
    net = wrap(CIFAR, DIA)
    net.set_scheme('01 11 00')
    check_rewritten(net)


BACKBONES = {
    'BasicBlock': RESNET_18,
    'Bottleneck': RESNET_50,
    'ResNetV1d': dict(RESNET_50, type='mmpretrain.ResNetV1d'),
    'GN': dict(RESNET_50, norm_cfg=dict(type='GN', num_groups=4)),
    'own SE': dict(type='mmpretrain.SEResNet', depth=50, se_ratio=4, **NARROW),
    'inverted residuals': dict(type='mmpretrain.MobileNetV2', widen_factor=0.25),
    'swish': dict(type='mmpretrain.MobileNetV3', arch='small'),
    'LN2d': dict(type='mmpretrain.ConvNeXt', arch='atto'),
    'branches': dict(type='mmpretrain.RepVGG', arch='A0'),
    'splits': dict(type='mmpretrain.Res2Net', depth=50),
}


@pytest.mark.parametrize('name', BACKBONES)
def test_backbones_of_mmpretrain(name):
    pytest.importorskip('mmpretrain')
    check_rewritten(wrap(BACKBONES[name], SE))


@pytest.mark.parametrize('attention', [SE, DIA], ids=['SE', 'DIA'])
def test_a_dilated_backbone_of_mmseg(attention):
    pytest.importorskip('mmseg')
    dilated = dict(depth=50, dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), out_indices=(0, 1, 2, 3), **NARROW)
    check_rewritten(wrap(dict(type='mmseg.ResNetV1c', contract_dilation=True, **dilated), attention))


@pytest.mark.parametrize('position', ['after_conv2', 'after_conv3'])
@pytest.mark.parametrize('kind', ['channel_add', 'channel_mul'])
def test_a_backbone_with_plugins(kind, position):
    """Their context, one row per image, is added to a map, or multiplied by it."""
    pytest.importorskip('mmseg')
    context = dict(type='ContextBlock', ratio=1 / 4, fusion_types=(kind,))
    plugins = [dict(cfg=context, stages=(False, True, True, True), position=position)]
    check_rewritten(wrap(dict(type='mmseg.ResNet', depth=50, plugins=plugins, **NARROW), SE))


@pytest.mark.parametrize('name', ['test_resnet', 'test_convnext'])
def test_backbones_of_timm(name):
    pytest.importorskip('timm')
    pytest.importorskip('mmpretrain')
    check_rewritten(wrap(dict(type='mmpretrain.TIMMBackbone', model_name=name), SE))


def test_in_float32_what_is_left_is_rounding():
    check_rewritten(wrap(dict(CIFAR, depth=29, block='bottleneck'), SE, torch.float), tolerance=1e-5)


def test_channels_last():
    net = wrap(CIFAR, SE).to(memory_format=torch.channels_last)
    x = images().to(memory_format=torch.channels_last)
    rewritten = rewrite(net, SAMPLE.double())
    assert largest_error(run(rewritten, x), run(net, x)) <= 1e-10
    assert run(rewritten, x)[0].is_contiguous(memory_format=torch.channels_last)


def test_a_bare_backbone_loses_its_norms():
    net = build(dict(CIFAR, depth=20, block='bottleneck'))
    rewritten = check_rewritten(net)
    assert not any('bn' in name for name in rewritten.state_dict())


def test_half_precision_is_as_close_as_it_was():
    net = wrap(dict(CIFAR, depth=29, block='bottleneck'), SE, torch.float)
    rewritten, x = rewrite(net, SAMPLE), images(dtype=torch.float)
    exact = run(net, x)
    with torch.autocast('cpu', torch.bfloat16):
        given, found = run(net, x), run(rewritten, x)
    assert {out.dtype for out in found} == {torch.bfloat16}
    assert largest_error(found, exact) <= 2 * largest_error(given, exact)
    assert largest_error(run(copy.deepcopy(rewritten).bfloat16(), x.bfloat16()), exact) <= 0.05


# -- what is returned belongs to the caller -----------------------------------------------------------------------------------


@pytest.mark.parametrize('attention', [SE, SGE, ASR], ids=['SE', 'SGE', 'ASR'])
def test_outputs_are_not_written_over(attention):
    pytest.importorskip('mmpretrain')
    rewritten = rewrite(wrap(RESNET_18, attention), SAMPLE.double())
    first = run(rewritten, images())
    kept = [out.clone() for out in first]
    run(rewritten, images(seed=5))
    assert all(torch.equal(*pair) for pair in zip(first, kept, strict=True))
    assert len({out.data_ptr() for out in first}) == 4
    assert all(torch.equal(*pair) for pair in zip(run(rewritten, images()), kept, strict=True))


def test_a_rewritten_network_can_be_copied():
    rewritten = rewrite(wrap(CIFAR, DIA), SAMPLE.double())
    copied, wanted = copy.deepcopy(rewritten), run(rewritten, images())
    for parameter in rewritten.parameters():
        nn.init.zeros_(parameter)
    assert all(torch.equal(*pair) for pair in zip(run(copied, images()), wanted, strict=True))


# -- what it looks like -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('attention', [SE, DIA], ids=['SE', 'DIA'])
def test_means_are_taken_where_the_branch_is_narrow(attention):
    pytest.importorskip('mmpretrain')
    net = wrap(RESNET_50, attention, scheme='111 1111 100000 001')
    rewritten = rewrite(net, SAMPLE.double())
    assert widths_of_means(rewritten, images()) == [8] * 3 + [16] * 4 + [32] + [64]
    assert [site.channels for site in net.sites][::4] == [32, 64, 128, 128]
    calls = count_calls(rewritten)
    assert calls[mean_behind] == 9


def test_but_not_in_front_of_a_convolution_that_looks_around():
    net = wrap(CIFAR, SE)
    rewritten = rewrite(net, SAMPLE.double())
    assert widths_of_means(rewritten, images()) == [8, 8, 16, 16, 32, 32]
    assert count_calls(rewritten)[mean_behind] == 0


def test_nor_of_one_that_narrows():
    """MobileNetV2's branch is narrower at its end than before it."""
    rows = dict(PlainBlock=dict(after='end', width='end.1'))

    def narrowing(width):
        return nn.Sequential(nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, width, 1))

    check_rewritten(wrap(dict(type=PlainNet, ends=[narrowing]), SE, residual_blocks=rows))


@pytest.mark.parametrize('attention', [SE, DIA, ASR], ids=['SE', 'DIA', 'ASR'])
@pytest.mark.parametrize('backbone', ['RESNET_18', 'RESNET_50'])
def test_product_and_sum_are_one_pass(backbone, attention):
    pytest.importorskip('mmpretrain')
    net = wrap(dict(RESNET_18=RESNET_18, RESNET_50=RESNET_50)[backbone], attention)
    calls = count_calls(rewrite(net, SAMPLE.double()))
    assert calls[multiply_and_add] == len(net.sites)
    assert calls[multiply] == calls[operator.add] == calls[operator.iadd] == calls[mean_of] - len(net.sites) == 0


def test_sites_that_are_off_cost_a_sum():
    pytest.importorskip('mmpretrain')
    calls = count_calls(rewrite(wrap(RESNET_50, SE, scheme='100 0000 000000 001'), SAMPLE.double()))
    assert calls[multiply_and_add] == calls[mean_of] == calls['AttentionStep'] == 2
    assert calls[operator.iadd] == 14
    assert calls[operator.add] == 0


def test_no_batch_norm_is_left_in_a_resnet():
    pytest.importorskip('mmpretrain')
    rewritten = rewrite(wrap(RESNET_50, SE), SAMPLE.double())
    assert not any(isinstance(module, _BatchNorm) for module in rewritten.modules())
    assert not any('running' in name for name in rewritten.state_dict())
    assert count_calls(rewritten)['Conv2d'] == 53


def test_attention_that_reads_the_map_runs_as_it_did():
    calls = count_calls(rewrite(wrap(CIFAR, SGE), SAMPLE.double()))
    assert calls['AttentionStep'] == 6
    assert calls[mean_of] == calls[multiply] == calls[multiply_and_add] == 0


def test_the_moved_mean_is_that_of_the_output():
    layer = randomise(nn.Conv2d(8, 24, 1)).double()
    x = images().repeat(1, 3, 1, 1)[:, :8]
    with torch.no_grad():
        found = mean_behind(mean_of(x), layer.weight, layer.bias)
        torch.testing.assert_close(found, layer(x).mean((2, 3)), rtol=1e-12, atol=1e-12)


def test_after_folding_nothing_is_left_but_sums():
    net = fold_constant_gates(wrap(CIFAR, ASR))
    calls = count_calls(check_rewritten(net))
    assert calls[mean_of] == 0
    assert calls[operator.iadd] == 6

"""The algebra of weights, against the layers themselves."""

import copy

import pytest
import torch
from random_networks import largest_error, randomise
from torch import nn

from ean_mm.reparam.fusion import find_affine, fold_norm, scale_output, scale_rows

C = 8
X = torch.randn(2, C, 7, 9, dtype=torch.double, generator=torch.Generator().manual_seed(0))
SCALE = torch.linspace(-1, 2, C, dtype=torch.double)


def conv(**arguments):
    return nn.Conv2d(C, C, **{'kernel_size': 3, **arguments})


CONVS = {
    'plain': conv(),
    'with bias': conv(bias=True, padding=1),
    'without': conv(bias=False),
    'strided': conv(stride=2, dilation=2, padding=(2, 1)),
    'grouped': conv(groups=4),
    'depthwise': conv(groups=C, padding='same'),
    'circular': conv(padding=1, padding_mode='circular'),
    'pointwise': conv(kernel_size=1),
}
NORMS = {
    'BatchNorm2d': nn.BatchNorm2d(C),
    'SyncBatchNorm': nn.SyncBatchNorm(C),
    'eps': nn.BatchNorm2d(C, eps=0.3),
    'without weights': nn.BatchNorm2d(C, affine=False),
}


@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize('name', CONVS)
def test_a_norm_becomes_part_of_the_convolution(name, norm):
    layer, norm = (randomise(copy.deepcopy(module)).double() for module in (CONVS[name], NORMS[norm]))
    before = copy.deepcopy(nn.Sequential(layer, norm).state_dict())
    fused = fold_norm(layer, norm)
    with torch.no_grad():
        assert largest_error(fused(X), norm(layer(X))) <= 1e-12
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    assert all(torch.equal(before[key], value) for key, value in nn.Sequential(layer, norm).state_dict().items())


def test_it_is_computed_in_float64():
    """Rounded once: the weights are the exact ones, in float32."""
    layer, norm = randomise(conv()), randomise(nn.BatchNorm2d(C))
    exact = fold_norm(copy.deepcopy(layer).double(), copy.deepcopy(norm).double())
    fused = fold_norm(layer, norm)
    assert fused.weight.dtype == torch.float
    assert torch.equal(fused.weight, exact.weight.float())
    assert torch.equal(fused.bias, exact.bias.float())
    assert torch.equal(scale_rows(layer.weight, SCALE), (layer.weight.double() * SCALE[:, None, None, None]).float())


@pytest.mark.parametrize(
    'layer',
    [
        *CONVS.values(),
        nn.Linear(C, C),
        nn.Linear(C, C, bias=False),
        nn.BatchNorm2d(C),
        nn.GroupNorm(4, C),
        nn.LayerNorm(C),
    ],
    ids=str,
)
def test_a_scaled_layer_returns_scaled_channels(layer):
    layer = randomise(copy.deepcopy(layer)).double()
    last = isinstance(layer, (nn.Linear, nn.LayerNorm))
    x = X.movedim(1, -1) if last else X
    with torch.no_grad():
        wanted = layer(x) * (SCALE if last else SCALE[:, None, None])
        scale_output(layer, SCALE)
        assert find_affine(layer) is layer
        assert largest_error(layer(x), wanted) <= 1e-12


def test_mmcvs_convolution_scales():
    wrappers = pytest.importorskip('mmcv.cnn.bricks.wrappers')
    layer = wrappers.Conv2d(C, C, 3)
    assert find_affine(layer) is layer


def test_the_last_layer_is_found():
    inner = nn.Sequential(conv(), nn.BatchNorm2d(C), nn.Identity())
    assert find_affine(nn.Sequential(nn.ReLU(), inner)) is inner[1]
    assert find_affine(nn.Sequential(conv(), nn.Sigmoid())) is None
    assert find_affine(nn.Sequential()) is None
    assert find_affine(nn.BatchNorm2d(C, affine=False)) is None
    assert find_affine(nn.ReLU()) is None


def test_of_timms_layers():
    layers = pytest.importorskip('timm.layers')
    silent = layers.ConvNormAct(C, C, apply_act=False)
    assert find_affine(silent) is silent.bn
    assert find_affine(layers.ConvNormAct(C, C)) is None  # an activation ends it
    assert find_affine(layers.BatchNormAct2d(C)) is None


@pytest.mark.parametrize(
    ('arguments', 'end'),
    [
        (dict(norm_cfg=dict(type='BN'), act_cfg=None), 'norm'),
        (dict(act_cfg=None), 'conv'),
        (dict(norm_cfg=dict(type='BN'), act_cfg=None, order=('norm', 'conv', 'act')), 'conv'),
        (dict(norm_cfg=dict(type='BN'), act_cfg=None, with_spectral_norm=True), 'norm'),
        (dict(act_cfg=None, with_spectral_norm=True), None),
        (dict(norm_cfg=dict(type='BN')), None),
    ],
)
def test_of_mmcvs_modules(arguments, end):
    bricks = pytest.importorskip('mmcv.cnn')
    module = bricks.ConvModule(C, C, 1, **arguments)
    assert find_affine(module) is (getattr(module, end) if end else None)

"""Layers of timm and mmcv as attention: what is refused, and that their results may be changed in place."""

import builtins
import random
import re
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ean_mm.models import PluginLayer, SharedAttention, TimmAttention
from ean_mm.models.attention_spec import attention_spec
from ean_mm.models.attentions.adapter import output_shape
from ean_mm.models.attentions.base import changeable
from ean_mm.registry import MODELS


class Ending(nn.Module):
    """A layer whose last operation is ``function``."""

    def __init__(self, in_channels, function):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, 1)
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x))


def attend(x):
    rows = x.flatten(2).transpose(1, 2).contiguous()
    return functional.scaled_dot_product_attention(rows, rows, rows).transpose(1, 2).unflatten(2, x.shape[2:])


KEEP_THEIR_RESULT = {
    'sigmoid': torch.sigmoid,
    'relu': torch.relu,
    'relu in place': torch.relu_,
    'tanh': torch.tanh,
    'softmax': lambda x: x.softmax(1),
    'a view of a sigmoid': lambda x: x.sigmoid().flatten(1).view(x.shape),
    'scaled dot-product attention': attend,
}
KEEP_THEIR_INPUT = {
    'gate': lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    'add': lambda x: x + 1,
    'silu': functional.silu,
    'nothing': lambda x: x,
    'a view': lambda x: x.flatten(2).view(x.shape),
}


# -- changed in place by the block ----------------------------------------------------------------------------------------


def gradient(module, x, add):
    """Of x and the parameters, where ``add`` adds a block's shortcut to the module's output."""
    module.zero_grad()
    x = x.clone().requires_grad_()
    add(module(x * 1), x).square().sum().backward()
    return [x.grad, *(parameter.grad.clone() for parameter in module.parameters())]


@pytest.mark.parametrize('function', KEEP_THEIR_RESULT.values(), ids=KEEP_THEIR_RESULT)
@pytest.mark.parametrize('wrap', ['plugin', 'shared'])
def test_a_result_that_autograd_keeps_may_be_changed(function, wrap):
    cfg = dict(type=Ending, function=function)
    module = PluginLayer(8, cfg) if wrap == 'plugin' else SharedAttention(cfg, 8)
    layer = module.layer if wrap == 'plugin' else module.attention
    x = torch.randn(2, 8, 3, 3)
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        gradient(layer, x, torch.Tensor.add_)
    expected = gradient(layer, x, torch.add)
    assert all(torch.equal(*pair) for pair in zip(gradient(module, x, torch.Tensor.add_), expected, strict=True))


def test_the_output_of_a_users_recurrent_attention_may_be_changed():
    class Recurrent(Ending):
        def step(self, x, carry):
            return self(x), carry

    shared = SharedAttention(dict(type=Recurrent, function=torch.sigmoid), 8)
    y, _ = shared.step(torch.randn(2, 8, 3, 3), None)
    y += 1
    y.sum().backward()
    assert shared.attention.conv.weight.grad.any()


@pytest.mark.parametrize('function', KEEP_THEIR_INPUT.values(), ids=KEEP_THEIR_INPUT)
def test_no_other_result_is_copied(function):
    y = function(torch.randn(2, 8, 3, 3, requires_grad=True) * 1)
    assert changeable(y) is y


@pytest.mark.parametrize('function', KEEP_THEIR_RESULT.values(), ids=KEEP_THEIR_RESULT)
@pytest.mark.parametrize('mode', [torch.no_grad, torch.inference_mode])
def test_without_gradients_nothing_is_copied(function, mode):
    with mode():
        y = function(torch.randn(2, 8, 3, 3, requires_grad=True) * 1)
        assert changeable(y) is y


def test_what_a_checkpoint_saved_is_not_recomputed_to_look_at_it():
    module = PluginLayer(8, dict(type=Ending, function=torch.sigmoid))
    calls = []
    module.layer.register_forward_pre_hook(lambda *_: calls.append(1))
    y = checkpoint(module, torch.randn(2, 8, 3, 3, requires_grad=True), use_reentrant=False)
    assert len(calls) == 1
    y += 1
    y.sum().backward()
    assert len(calls) == 2


@pytest.mark.parametrize('function', [torch.sigmoid, KEEP_THEIR_INPUT['gate']], ids=['sigmoid', 'gate'])
def test_it_compiles_and_exports_whole(function):
    module = PluginLayer(8, dict(type=Ending, function=function))

    def block(x):
        y = module(x)
        y += x
        return y

    x = torch.randn(2, 8, 3, 3)
    torch.compiler.reset()
    compiled = torch.compile(block, fullgraph=True, backend='aot_eager')
    expected = gradient(module, x, torch.add)
    module.zero_grad()
    compiled(x.requires_grad_()).square().sum().backward()
    found = [parameter.grad for parameter in module.parameters()]
    torch.testing.assert_close(found, expected[1:])
    x = x.detach()
    assert torch.equal(torch.export.export(module, (x,)).module()(x), module(x))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch.jit.trace, deprecated, is what the older ONNX exporter runs
        assert torch.equal(torch.jit.trace(module, x)(x), module(x))


# -- the shape is kept ---------------------------------------------------------------------------------------------------


def test_the_shape_is_found_without_computing():
    class Drop(nn.Module):
        def forward(self, x):
            return x * random.random() if self.training else x

    layer = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2), nn.BatchNorm2d(6), nn.Dropout(), Drop())
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    state, python_state = torch.get_rng_state(), random.getstate()
    assert output_shape(layer, (2, 4, 9, 9)) == (2, 6, 4, 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == python_state
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())
    assert layer.training
    assert all(parameter.device.type == 'cpu' for parameter in layer.parameters())


def test_a_layer_that_reads_values_is_taken_on_trust():
    cfg = dict(type=Ending, function=lambda x: x * x.mean().item())
    x = torch.randn(2, 8, 3, 3)
    assert PluginLayer(8, cfg)(x).shape == x.shape


def test_what_a_layer_remembers_of_its_input_is_untouched():
    class Remembering(nn.Module):
        def __init__(self, in_channels):
            super().__init__()
            self.seen = None

        def forward(self, x):
            self.seen = x
            return x + 1

    assert PluginLayer(8, dict(type=Remembering)).layer.seen is None


def test_a_tuple_is_no_shape_of_the_input():
    with pytest.raises(ValueError, match=r'`cfg` must give a layer that keeps the shape.*becomes \(\)'):
        PluginLayer(8, dict(type=Ending, function=lambda x: (x, x)))


# -- a package that is not installed ---------------------------------------------------------------------------------------


@pytest.fixture
def without(monkeypatch):
    """Make imports of one package fail as they do where it is not installed."""

    def hide(package):
        real = builtins.__import__

        def refuse(name, *args, **kwargs):
            if name.split('.')[0] == package:
                raise ModuleNotFoundError(f'No module named {package!r}')
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, '__import__', refuse)

    return hide


def test_a_missing_timm_is_named(without):
    without('timm')
    message = "`name` must be built by the package timm, but got 'eca' without it .*; pip install timm."
    with pytest.raises(ImportError, match=message):
        TimmAttention(16, name='eca')


def test_a_missing_timm_is_named_through_a_config(without):
    without('timm')
    with pytest.raises(ImportError, match='pip install timm'):
        SharedAttention(dict(type='ean_mm.TimmAttention', name='eca'), 16)


# -- layers registered with MM -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'cfg', [dict(type='mmcv.ContextBlock', ratio=0.25), dict(type='mmcv.cnn.ContextBlock', ratio=0.25)]
)
def test_it_is_mmcvs_layer(cfg):
    cnn = pytest.importorskip('mmcv.cnn')
    module = PluginLayer(8, cfg)
    assert isinstance(module.layer, cnn.ContextBlock)
    assert module.layer.in_channels == 8
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(module(x), module.layer(x))


def test_a_users_own_layer_is_found_by_its_name():
    MODELS.register_module(name='EndingOfATest', module=Ending)
    try:
        module = PluginLayer(8, dict(type='ean_mm.EndingOfATest', function=torch.relu))
    finally:
        del MODELS.module_dict['EndingOfATest']
    assert type(module.layer) is Ending


def test_what_binds_the_layer_binds_the_adapter():
    class Bound(Ending):
        bound_to = 'one feature size (7, 7)'

    assert PluginLayer(8, dict(type=Bound, function=torch.relu)).bound_to == 'one feature size (7, 7)'
    assert PluginLayer(8, dict(type=Ending, function=torch.relu)).bound_to == ''


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (None, "`cfg` must be a dict with a 'type', but got None."),
        (dict(ratio=0.5), "`cfg` must be a dict with a 'type', but got {'ratio': 0.5}."),
        (
            dict(type='nowhere.Layer'),
            "`cfg` must name a registered model, but got 'nowhere.Layer'; no package of scope",
        ),
        (dict(type='ean_mm.SSE'), "`cfg` must name a registered model, but got 'ean_mm.SSE'; did you mean 'ean_mm.SE'"),
        (
            dict(type='mmcv.ContextBlok', ratio=0.5),
            "`cfg` must name a registered layer, but got 'mmcv.ContextBlok'; did you mean 'mmcv.ContextBlock'?",
        ),
        (dict(type='mmcv.Qqqqqqqq'), "`cfg` must name a registered layer, but got 'mmcv.Qqqqqqqq'; see mmcv.cnn."),
        (
            dict(type='mmcv.HSigmoid'),
            "`cfg` must name a layer that takes `in_channels` and the arguments given, but got {'type': 'mmcv.HSigmoid'}; it "
            'answers TypeError("',
        ),
        (dict(type='mmcv.ContextBlock'), "but got {'type': 'mmcv.ContextBlock'}; it answers TypeError("),
        (
            dict(type='mmcv.ContextBlock', ratio=0.5, pooling_type='max'),
            "'pooling_type': 'max'}; it answers AssertionError(",
        ),
        (
            dict(type='mmcv.ConvModule', out_channels=4, kernel_size=1),
            '`cfg` must give a layer that keeps the shape of its input, but got {',
        ),
        (dict(type='ean_mm.DIA'), '`cfg` must name a layer that hands on no state, but got {'),
        (dict(type='ean_mm.SE', reduction=0), '`reduction` must be a whole number of at least 1, but got 0'),
    ],
)
def test_what_is_no_plugin_layer_is_named(cfg, message):
    pytest.importorskip('mmcv.cnn')
    with pytest.raises(ValueError, match=re.escape(message)):
        PluginLayer(8, cfg)


def test_a_missing_mmcv_is_named(without):
    without('mmcv')
    message = r"`cfg` must name a layer of an installed package, but got 'mmcv.ContextBlock' \(No module named 'mmcv'\)"
    with pytest.raises(ImportError, match=message):
        PluginLayer(8, dict(type='mmcv.ContextBlock', ratio=0.5))


def test_a_ticket_stores_adapters_by_name():
    timm = dict(type='ean_mm.TimmAttention', name='eca', kernel_size=5)
    plugin = dict(type='ean_mm.PluginLayer', cfg=dict(type='mmcv.ContextBlock', ratio=0.5))
    assert attention_spec({**timm, 'init_cfg': None}) == timm
    assert attention_spec(plugin) == plugin

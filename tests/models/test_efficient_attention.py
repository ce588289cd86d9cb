"""Efficient attention against the n x n attention that its formula implies."""

import math

import pytest
import torch
from mmcv.cnn import build_plugin_layer
from torch.utils._python_dispatch import TorchDispatchMode

from ean_mm.analysis import count_work
from ean_mm.models import EfficientAttention
from ean_mm.models.attentions import efficient
from ean_mm.models.attentions.efficient import read_summary

RHO = {
    # rho_q over the channels of a query, rho_k over the positions of a channel; rows are positions
    'softmax': (lambda q: q.softmax(1), lambda k: k.softmax(0)),
    'scaling': (lambda q: q / math.sqrt(len(q)), lambda k: k / math.sqrt(len(k))),
}


def draw(*shape):
    torch.manual_seed(1)
    return torch.randn(*shape, dtype=torch.double)


def build(in_channels=6, **arguments):
    torch.manual_seed(0)
    return EfficientAttention(in_channels, **arguments).double()


def linear(conv, rows):
    return rows @ conv.weight[:, :, 0, 0].T + conv.bias


def implied_maps(module, image, num_heads=1):
    """The n x n map of each head for one image: rho_q(Q) rho_k(K)^T; and the values, (n, v)."""
    rows = image.flatten(1).T
    rho_q, rho_k = RHO[module_normalization(module)]
    queries = linear(module.queries, rows).chunk(num_heads, 1)
    keys = linear(module.keys, rows).chunk(num_heads, 1)
    return [rho_q(q) @ rho_k(k).T for q, k in zip(queries, keys, strict=True)], linear(module.values, rows)


def module_normalization(module):
    return 'scaling' if 'scaling' in module.normalize.__name__ else 'softmax'


def reference(module, x, num_heads=1):
    """x + reprojection of what the n x n maps make of the values, head by head and image by image."""
    images = []
    for image in x:
        maps, values = implied_maps(module, image, num_heads)
        parts = [a @ v for a, v in zip(maps, values.chunk(num_heads, 1), strict=True)]
        images.append(image + linear(module.reprojection, torch.cat(parts, 1)).T.reshape(image.shape))
    return torch.stack(images)


@pytest.mark.parametrize('normalization', RHO)
@pytest.mark.parametrize('shape', [(2, 6, 5, 4), (1, 6, 1, 1), (3, 6, 1, 7)])
def test_it_equals_attention_with_the_full_map(normalization, shape):
    module = build(key_channels=4, value_channels=5, normalization=normalization)
    x = draw(*shape)
    torch.testing.assert_close(module(x), reference(module, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('normalization', RHO)
def test_heads_equal_a_loop_over_heads(normalization):
    module = build(key_channels=6, value_channels=9, num_heads=3, normalization=normalization)
    x = draw(2, 6, 4, 5)
    torch.testing.assert_close(module(x), reference(module, x, num_heads=3), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(module(x), reference(module, x))


def dot_product(module, image):
    """Attention as non-local networks do it, without a softmax: every pair of positions, averaged over the n keys."""
    rows = image.flatten(1).T
    weights = linear(module.queries, rows) @ linear(module.keys, rows).T / len(rows)
    return image + linear(module.reprojection, weights @ linear(module.values, rows)).T.reshape(image.shape)


def test_scaling_is_dot_product_attention_over_n():
    module = build(normalization='scaling')
    x = draw(2, 6, 3, 4)
    expected = torch.stack([dot_product(module, image) for image in x])
    torch.testing.assert_close(module(x), expected, rtol=1e-12, atol=1e-12)


def test_each_row_of_the_implied_map_sums_to_one():
    """Values of 1 at every position come out as 1: whatever the weights, they add up to 1."""
    module = build(value_channels=1)
    torch.nn.init.zeros_(module.values.weight)
    torch.nn.init.ones_(module.values.bias)
    torch.nn.init.ones_(module.reprojection.weight)
    torch.nn.init.zeros_(module.reprojection.bias)
    x = draw(2, 6, 4, 4)
    torch.testing.assert_close(module(x) - x, torch.ones_like(x), rtol=1e-12, atol=1e-12)
    (weights,), _ = implied_maps(module, x[0])
    torch.testing.assert_close(weights.sum(1), torch.ones(16, dtype=torch.double), rtol=1e-12, atol=1e-12)


def test_softmax_of_both_is_not_softmax_of_the_product():
    module = build()
    x = draw(1, 6, 3, 3)
    (weights,), _ = implied_maps(module, x[0])
    rows = x[0].flatten(1).T
    product = linear(module.queries, rows) @ linear(module.keys, rows).T
    assert not torch.allclose(weights, product.softmax(1), atol=1e-3)


@pytest.mark.parametrize('normalization', RHO)
def test_both_orders_of_association_are_equal(normalization):
    queries, keys = RHO[normalization][0](draw(12, 4)), RHO[normalization][1](draw(12, 4).flip(0))
    values = draw(12, 5)
    summary = read_summary(queries.T, keys.T, values.T).T
    torch.testing.assert_close(summary, queries @ (keys.T @ values), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(summary, (queries @ keys.T) @ values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('normalization', RHO)
def test_gradients_agree_with_finite_differences(normalization):
    module = build(key_channels=4, num_heads=2, normalization=normalization)
    x = draw(2, 6, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(module, (x,))
    names, values = zip(*module.named_parameters(), strict=True)

    def of_parameters(*parameters):
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x.detach(),))

    assert torch.autograd.gradcheck(of_parameters, values, fast_mode=True)


@pytest.mark.parametrize('normalization', ['softmax', 'scaling'])
@pytest.mark.parametrize('num_heads', [1, 2])
def test_values_and_reprojection_may_act_on_the_summary(num_heads, normalization, monkeypatch):
    """The same numbers in the order that takes fewer MACs, which is taken where it saves enough."""
    c, k, v, n = 6, 4, 8, 15
    module = build(c, key_channels=k, value_channels=v, num_heads=num_heads, normalization=normalization)
    x = draw(2, c, 3, 5)
    expected = reference(module, x, num_heads)
    on_maps, on_summary = 2 * n * v * (c + k // num_heads), 2 * k * c * (n + v // num_heads)
    for least, macs in ((on_maps - on_summary + 1, on_maps), (on_maps - on_summary, on_summary)):
        monkeypatch.setattr(efficient, 'LEAST_SAVING', least)
        torch.testing.assert_close(module(x), expected, rtol=1e-12, atol=1e-12)
        assert count_work(lambda: module(x)).macs == 2 * (2 * n * c * k + macs)


def test_gradients_of_the_summary_order(monkeypatch):
    monkeypatch.setattr(efficient, 'LEAST_SAVING', -(10**9))
    module = build(3, key_channels=2, value_channels=4, num_heads=2)
    names, values = zip(*module.named_parameters(), strict=True)

    def call(x, *parameters):
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (draw(1, 3, 2, 3).requires_grad_(), *values))


def test_the_setting_of_the_paper_is_the_default():
    module = EfficientAttention(16)
    assert module.keys.weight.shape == module.queries.weight.shape == (8, 16, 1, 1)
    assert module.values.weight.shape == module.reprojection.weight.shape == (16, 16, 1, 1)
    assert module.num_heads == 1
    assert module_normalization(module) == 'softmax'
    assert all(layer.bias is not None for layer in (module.keys, module.queries, module.values, module.reprojection))


@pytest.mark.parametrize('own', [dict(), dict(key_channels=6, num_heads=3, value_channels=12, normalization='scaling')])
def test_it_stands_where_mmcvs_non_local_layer_stands(own):
    """The same call of mmcv, by width and postfix, and the same shape of map in and out."""
    x = torch.randn(2, 8, 4, 5)
    for cfg in (dict(type='NonLocal2d'), dict(type='ean_mm.EfficientAttention', **own)):
        name, layer = build_plugin_layer(cfg, in_channels=8, postfix='_conv3')
        assert layer(x).shape == x.shape
    assert name == 'efficient_attention_conv3'
    assert type(layer) is EfficientAttention


class CopyCounter(TorchDispatchMode):
    num_copies = 0
    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in (torch.ops.aten.clone, torch.ops.aten.copy_, torch.ops.aten._to_copy):
            self.num_copies += 1
        if isinstance(out, torch.Tensor):
            self.largest = max(self.largest, out.numel())
        return out


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_no_map_is_copied_and_none_is_n_by_n(memory_format):
    module = build(8)
    x = draw(2, 8, 8, 8).to(memory_format=memory_format)
    with CopyCounter() as counter:
        y = module(x)
    assert counter.num_copies == 0
    assert counter.largest == x.numel() < 2 * 64 * 64
    assert y.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(y, reference(module, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(in_channels=0), '`in_channels` must be a whole number of at least 1, but got 0'),
        (dict(in_channels=8, key_channels=0), '`key_channels` must be a whole number of at least 1, but got 0'),
        (dict(in_channels=1), '`key_channels` must be a whole number of at least 1, but got 0'),
        (dict(in_channels=8, value_channels=2.0), '`value_channels` must be a whole number of at least 1, but got 2.0'),
        (dict(in_channels=8, num_heads=0), '`num_heads` must be a whole number of at least 1, but got 0'),
        (
            dict(in_channels=8, key_channels=6, num_heads=4),
            '`num_heads` must divide the 6 channels of keys and the 8 of values, but got 4; choose key_channels',
        ),
        (
            dict(in_channels=8, value_channels=6, num_heads=4),
            '`num_heads` must divide the 4 channels of keys and the 6 of values, but got 4; choose key_channels',
        ),
        (
            dict(in_channels=8, normalization='dot'),
            r"`normalization` must be one of \('softmax', 'scaling'\), but got 'dot'",
        ),
        (dict(in_channels=8, gate_init='zero'), r"`gate_init` must be one of \('paper', 'identity'\), but got 'zero'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        EfficientAttention(**arguments)

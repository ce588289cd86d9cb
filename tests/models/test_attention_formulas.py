"""SE, SGE and DIA are their formulas, and name what they cannot be built with."""

import pytest
import torch
from torch import nn

from ean_mm.models import DIA, SE, SGE
from ean_mm.registry import MODELS, build_from

CHANNELS = 8


def build(cls, **arguments):
    torch.manual_seed(0)
    module = cls(in_channels=CHANNELS, **arguments)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def test_se_is_its_formula():
    module = build(SE, reduction=4)
    x = torch.randn(2, CHANNELS, 3, 3)
    pooled = x.mean((2, 3))
    hidden = (pooled @ module.squeeze.weight.T + module.squeeze.bias).clamp(min=0)
    gate = 1 / (1 + torch.exp(-(hidden @ module.excite.weight.T + module.excite.bias)))
    torch.testing.assert_close(module(x), x * gate[..., None, None])


def test_se_keeps_its_least_width():
    assert SE(in_channels=16, reduction=16, min_channels=4).hidden_channels == 4
    assert SE(in_channels=16, reduction=32).hidden_channels == 1


def test_a_new_sge_multiplies_by_sigmoid_of_one():
    x = torch.randn(2, 64, 5, 5)
    torch.testing.assert_close(SGE(in_channels=64)(x), x * 0.7310585786)


def test_sge_is_its_formula_with_the_unbiased_deviation():
    module = build(SGE, groups=4).double()
    x = torch.randn(1, CHANNELS, 3, 3, dtype=torch.double)
    expected = torch.empty_like(x)
    for group in range(4):
        part = x[0, 2 * group : 2 * group + 2]
        s = sum(part[c] * part[c].mean() for c in range(2))
        t = (s - s.mean()) / (s.std(unbiased=True) + 1e-5)
        gate = torch.sigmoid(t * module.weight[0, group] + module.bias[0, group])
        expected[0, 2 * group : 2 * group + 2] = part * gate
    torch.testing.assert_close(module(x), expected)


def test_dia_is_its_formula_over_two_blocks():
    module = build(DIA, reduction=2).double()
    xs = torch.randn(2, 3, CHANNELS, 2, 2, dtype=torch.double)
    h = c = torch.zeros(3, CHANNELS, dtype=torch.double)
    carry = None
    for x in xs:
        i, f, g, o = (module.from_input(x.mean((2, 3))) + module.from_state(h)).split(CHANNELS, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.sigmoid(c)
        y, carry = module.step(x, carry)
        torch.testing.assert_close(y, x * h[..., None, None])
    assert 0 < h.min() <= h.max() < 1


@pytest.mark.parametrize(
    ('cls', 'arguments', 'message'),
    [
        (SE, dict(in_channels=0), '`in_channels` must be a whole number of at least 1, but got 0'),
        (SE, dict(in_channels=8, reduction=0), '`reduction` must be a whole number'),
        (SE, dict(in_channels=8, reduction=True), '`reduction` must be a whole number'),
        (SE, dict(in_channels=8, min_channels=0), '`min_channels` must be a whole number'),
        (SGE, dict(in_channels=16), '`groups` must divide the 16 channels of the stage, but got 64'),
        (SGE, dict(in_channels=8, groups=0), '`groups` must be a whole number'),
        (SGE, dict(in_channels=64, eps=0), '`eps` must be a positive number, but got 0'),
        (DIA, dict(in_channels=8, reduction=0), '`reduction` must be a whole number'),
        (DIA, dict(in_channels=8, reduction=9), '`reduction` must be at most the 8 channels'),
    ],
)
def test_wrong_arguments_are_named(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**arguments)


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (dict(type='ean_mm.SSE'), "but got 'ean_mm.SSE'; did you mean 'ean_mm.SE'"),
        (dict(type='ean_mm.Foo'), "but got 'ean_mm.Foo'"),
        (dict(type='nowhere.SE'), "no package of scope 'nowhere'"),
        (dict(reduction=4), "`attention` must be a dict with a 'type'"),
        (None, "`attention` must be a dict with a 'type', but got None"),
    ],
)
def test_unknown_types_are_answered_with_the_closest(cfg, message):
    with pytest.raises(ValueError, match=message):
        build_from(MODELS, cfg, 'attention', in_channels=8)

"""The contract every attention keeps, and each one's formula."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ean_mm.models import DIA, SE, SGE
from ean_mm.registry import MODELS, build_from

CHANNELS = 8
CONFIGS = {
    'se': dict(type='ean_mm.SE', reduction=4),
    'sge': dict(type='ean_mm.SGE', groups=4),
    'dia': dict(type='ean_mm.DIA', reduction=2),
}
MACS = {
    'se': 2 * CHANNELS * 2,
    'sge': 0,
    'dia': 10 * CHANNELS * 4,
}
PARAMS = {
    'se': 2 * CHANNELS * 2 + 2 + CHANNELS,
    'sge': 2 * 4,
    'dia': 2 * (5 * CHANNELS * 4 + 4 + 4 * CHANNELS),
}


@pytest.fixture(params=CONFIGS)
def name(request):
    return request.param


def build(name, channels=CHANNELS):
    torch.manual_seed(0)
    module = MODELS.build({**CONFIGS[name], 'in_channels': channels})
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


@pytest.mark.parametrize('shape', [(2, CHANNELS, 5, 7), (1, CHANNELS, 1, 1), (3, CHANNELS, 1, 4)])
def test_output_is_finite_and_like_the_input(name, shape):
    x = torch.randn(shape)
    y = build(name)(x)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert y.isfinite().all()


def test_gradients_agree_with_finite_differences(name):
    module = build(name).double()
    x = torch.randn(2, CHANNELS, 3, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))


def test_images_of_a_batch_do_not_meet(name):
    module = build(name).double()
    x = torch.randn(3, CHANNELS, 4, 4, dtype=torch.double)
    alone = torch.cat([module(image[None]) for image in x])
    torch.testing.assert_close(module(x), alone, rtol=1e-12, atol=1e-12)


def test_output_may_be_changed_in_place_before_backward(name):
    x = torch.randn(2, CHANNELS, 4, 4, requires_grad=True)
    y = build(name)(x)
    y += torch.ones_like(y)
    y.sum().backward()
    assert x.grad.abs().sum() > 0


def test_state_dict_round_trip(name):
    module, other = build(name), MODELS.build({**CONFIGS[name], 'in_channels': CHANNELS})
    other.load_state_dict(module.state_dict())
    x = torch.randn(2, CHANNELS, 4, 4)
    assert torch.equal(module(x), other(x))


def test_nothing_is_kept_between_calls(name):
    module = build(name)
    x = torch.randn(2, CHANNELS, 4, 4)
    before = copy.deepcopy(module.state_dict())
    first = module(x)
    module(torch.randn_like(x))
    assert torch.equal(first, module(x))
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_stated_cost_is_the_counted_cost(name):
    module = build(name)
    with FlopCounterMode(display=False) as counter:
        module(torch.randn(1, CHANNELS, 6, 6))
    assert counter.get_total_flops() == 2 * MACS[name]
    assert sum(p.numel() for p in module.parameters()) == PARAMS[name]


def test_a_constant_map_has_a_gradient(name):
    x = torch.ones(1, CHANNELS, 3, 3, requires_grad=True)
    build(name)(x).sum().backward()
    assert x.grad.isfinite().all()


def test_se_is_its_formula():
    module = build('se')
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
    module = build('sge').double()
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
    module = build('dia').double()
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

"""The contract every attention keeps, own or adapted, and the formula of each own one."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from ean_mm.analysis import Work, count_work
from ean_mm.models import DIA, SE, SGE, SharedAttention
from ean_mm.models.attention_spec import OWN_ATTENTIONS
from ean_mm.registry import MODELS, build_from

CHANNELS = 8
ANY_SHAPE = ((2, CHANNELS, 5, 7), (1, CHANNELS, 1, 1), (3, CHANNELS, 1, 4))


@dataclass(frozen=True)
class Case:
    """An attention under the contract.

    Attributes:
        cfg: how it is built.
        needs: the optional package it comes from.
        shapes: inputs it takes; the first one's height and width serve every other check.
        exempt: parts of the contract it cannot keep, each with the reason.
    """

    cfg: dict
    needs: str = 'torch'
    shapes: tuple = ((2, CHANNELS, 4, 4),)
    exempt: dict = field(default_factory=dict)


def own(name, **arguments):
    return Case(dict(type=f'ean_mm.{name}', **arguments), shapes=ANY_SHAPE)


def timm(name, exempt=None, **arguments):
    return Case(dict(type='ean_mm.TimmAttention', name=name, **arguments), 'timm', exempt=exempt or {})


def mmcv(name, **arguments):
    return Case(dict(type='ean_mm.PluginLayer', cfg=dict(type=f'mmcv.{name}', **arguments)), 'mmcv')


CASES = {
    'se': own('SE', reduction=4),
    'se-identity': own('SE', reduction=4, gate_init='identity'),
    'sge': own('SGE', groups=4),
    'sge-identity': own('SGE', groups=4, gate_init='identity'),
    'dia': own('DIA', reduction=2),
    'dia-identity': own('DIA', reduction=2, gate_init='identity'),
    'efficient': own('EfficientAttention'),
    'efficient-heads': own('EfficientAttention', key_channels=6, num_heads=2, normalization='scaling'),
    **{
        f'timm-{name}': timm(name)
        for name in (
            'se',
            'ese',
            'eca',
            'ecam',
            'ceca',
            'gc',
            'gca',
            'cbam',
            'lcbam',
            'coord',
            'scoord',
            'ela',
            'strip',
        )
    },
    'timm-ge': timm('ge', use_mlp=False),  # with its MLP timm 1.0.31 cannot build it
    'timm-sk': timm('sk'),
    'timm-splat': timm('splat'),
    'timm-lambda': timm('lambda', dim_head=4, r=3),
    'timm-bottleneck': timm('bottleneck', feat_size=(4, 4)),
    'timm-halo': timm('halo', block_size=2, halo_size=1),
    'timm-nl': timm('nl'),
    'timm-bat': timm(
        'bat', block_size=2, exempt={'repeats itself in training': 'its dropout draws anew in every call'}
    ),
    'mmcv-context': mmcv('ContextBlock', ratio=0.5),
    'mmcv-nonlocal': mmcv('NonLocal2d'),
    'mmcv-generalized': mmcv('GeneralizedAttention', num_heads=2),
}
C = CHANNELS
# name: (MACs, element-wise operations) of one image with n positions, and parameters
COSTS = {
    'se': (lambda n: (2 * C * 2, 2 * C * n + 2 + C), 2 * C * 2 + 2 + C),
    'se-identity': (lambda n: (2 * C * 2, 2 * C * n + 2 + 2 * C), 2 * C * 2 + 2 + C),
    'sge': (lambda n: (0, 4 * C * n + 8 * 4 * n + 6 * 4), 2 * 4),
    'sge-identity': (lambda n: (0, 4 * C * n + 9 * 4 * n + 6 * 4), 2 * 4),
    'dia': (lambda n: (10 * C * 4, 2 * C * n + 13 * C + 2 * 4), 2 * (5 * C * 4 + 4 + 4 * C)),
    'dia-identity': (lambda n: (10 * C * 4, 2 * C * n + 14 * C + 2 * 4), 2 * (5 * C * 4 + 4 + 4 * C)),
    'efficient': (
        lambda n: (2 * n * C * (4 + C) + 2 * n * 4 * C, n * (C + 2 * 4)),
        2 * C * (4 + C) + 2 * 4 + C + C,
    ),
    'efficient-heads': (
        lambda n: (2 * n * C * (6 + C) + 2 * n * 6 * C // 2, n * (C + 2 * 6)),
        2 * C * (6 + C) + 2 * 6 + C + C,
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    pytest.importorskip(CASES[request.param].needs)
    return CASES[request.param]


def build(cfg):
    torch.manual_seed(0)
    module = MODELS.build({**cfg, 'in_channels': CHANNELS})
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def draw(case, batch=2, **options):
    torch.manual_seed(1)
    return torch.randn(batch, CHANNELS, *case.shapes[0][2:], **options)


def test_the_contract_covers_every_attention_of_our_own():
    assert {case.cfg['type'] for case in CASES.values()} >= OWN_ATTENTIONS.keys()
    assert {name for name, case in CASES.items() if case.cfg['type'] in OWN_ATTENTIONS} == COSTS.keys()


def test_output_is_finite_and_like_the_input(case):
    module = build(case.cfg).eval()
    for shape in case.shapes:
        for dtype in (torch.float, torch.double):
            y = module.to(dtype)(torch.randn(shape, dtype=dtype))
            assert y.shape == shape
            assert y.dtype == dtype
            assert y.isfinite().all()


def test_gradients_agree_with_finite_differences(case):
    module = build(case.cfg).double().eval()
    size = case.shapes[0][2:] if case.needs != 'torch' else (3, 2)
    # two images, not one: with one, torch 2.15's batch norm errs on gradients of another memory layout (CPU)
    x = torch.randn(2, CHANNELS, *size, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,), fast_mode=case.needs != 'torch')


def test_images_of_a_batch_do_not_meet(case):
    module = build(case.cfg).double().eval()
    x = draw(case, batch=3, dtype=torch.double)
    alone = torch.cat([module(image[None]) for image in x])
    torch.testing.assert_close(module(x), alone, rtol=1e-12, atol=1e-12)


def test_the_memory_format_does_not_matter(case):
    module = build(case.cfg).double().eval()
    x = draw(case, dtype=torch.double)
    y = module(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(y, module(x), rtol=1e-12, atol=1e-12)


def test_output_may_be_changed_in_place_before_backward(case):
    gradients = []
    for add in (Tensor.add, Tensor.add_):
        module = build(case.cfg)
        x = draw(case, requires_grad=True)
        torch.manual_seed(2)
        add(module(x), torch.ones_like(x)).square().sum().backward()
        gradients.append([x.grad, *(parameter.grad for parameter in module.parameters())])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    assert gradients[0][0].abs().sum() > 0


def test_a_carry_is_handed_on_and_never_kept(case):
    shared = SharedAttention(case.cfg, CHANNELS).eval()
    for parameter in shared.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = draw(case)
    first, carry = shared.step(x, None)
    assert torch.equal(first, shared(x))
    if shared.has_carry:
        assert not torch.equal(first, shared.step(x, carry)[0])
        assert torch.equal(first, shared.step(x, None)[0])
    else:
        assert shared.step(x, 'untouched')[1] == 'untouched'


def test_state_dict_round_trip(case):
    module, other = build(case.cfg).eval(), MODELS.build({**case.cfg, 'in_channels': CHANNELS}).eval()
    other.load_state_dict(module.state_dict())
    x = draw(case)
    assert torch.equal(module(x), other(x))


def test_nothing_is_kept_between_calls(case):
    module = build(case.cfg).eval()
    x = draw(case)
    before = copy.deepcopy(module.state_dict())
    first = module(x)
    module(torch.randn_like(x))
    assert torch.equal(first, module(x))
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert not [value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor)]


def test_it_repeats_itself_in_training(case):
    if 'repeats itself in training' in case.exempt:
        pytest.skip(case.exempt['repeats itself in training'])
    module = build(case.cfg)
    x = draw(case)
    assert torch.equal(module(x), module(x))


def test_a_constant_map_has_a_gradient(case):
    x = torch.ones_like(draw(case)).requires_grad_()
    build(case.cfg)(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize('size', [(6, 6), (3, 5)])
@pytest.mark.parametrize('name', COSTS)
def test_stated_cost_is_the_counted_cost(name, size):
    module = build(CASES[name].cfg)
    work, params = COSTS[name]
    x = torch.randn(1, C, *size)
    assert count_work(partial(module, x)) == Work(*work(size[0] * size[1]))
    assert sum(p.numel() for p in module.parameters()) == params


def test_a_batch_costs_as_much_as_its_images():
    module = build(CASES['efficient-heads'].cfg)
    one, three = (count_work(partial(module, torch.randn(batch, C, 4, 4))) for batch in (1, 3))
    assert three == one + one + one


def test_se_is_its_formula():
    module = build(CASES['se'].cfg)
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
    module = build(CASES['sge'].cfg).double()
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
    module = build(CASES['dia'].cfg).double()
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

"""The contract every attention keeps, own or adapted, and the cost of each own one."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from ean_mm.analysis import Work, count_work
from ean_mm.models import SharedAttention
from ean_mm.models.attention_spec import OWN_ATTENTIONS
from ean_mm.registry import MODELS

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


ASR_OF_SE = dict(type='ean_mm.ASR', attention=dict(type='ean_mm.SE', reduction=4))
CASES = {
    'se': own('SE', reduction=4),
    'se-identity': own('SE', reduction=4, gate_init='identity'),
    'sge': own('SGE', groups=4),
    'sge-identity': own('SGE', groups=4, gate_init='identity'),
    'dia': own('DIA', reduction=2),
    'dia-identity': own('DIA', reduction=2, gate_init='identity'),
    'efficient': own('EfficientAttention'),
    'efficient-heads': own('EfficientAttention', key_channels=6, num_heads=2, normalization='scaling'),
    'asr': Case(ASR_OF_SE, shapes=ANY_SHAPE),
    'asr-twice': own('ASR', attention=dict(type='ean_mm.DIA', reduction=2), num_insertions=2),
    'stacked': own('Stacked', attentions=[ASR_OF_SE, dict(type='ean_mm.SE', reduction=4)]),
    'stacked-constant': own('Stacked', attentions=[ASR_OF_SE, ASR_OF_SE]),
    'stacked-recurrent': own(
        'Stacked', attentions=[dict(type='ean_mm.SE', reduction=4), dict(type='ean_mm.DIA', reduction=2)]
    ),
    'stacked-map': own(
        'Stacked', attentions=[ASR_OF_SE, dict(type='ean_mm.DIA', reduction=2), dict(type='ean_mm.SGE', groups=4)]
    ),
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
SE_PARAMS = 2 * C * 2 + 2 + C
DIA_PARAMS = 2 * (5 * C * 4 + 4 + 4 * C)
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
    'asr': (lambda n: (2 * C * 2, C * n + 2 + C), C + SE_PARAMS),
    'asr-twice': (lambda n: (2 * 10 * C * 4, C * n + 2 * (13 * C + 2 * 4) + C), 2 * (C + DIA_PARAMS)),
    'stacked': (lambda n: (2 * 2 * C * 2, 2 * C * n + 2 * (2 + C) + 2 * C), C + 2 * SE_PARAMS),
    'stacked-constant': (lambda n: (2 * 2 * C * 2, C * n + 2 * (2 + C) + C), 2 * (C + SE_PARAMS)),
    'stacked-recurrent': (
        lambda n: (2 * C * 2 + 10 * C * 4, 2 * C * n + 2 + C + 13 * C + 2 * 4 + 2 * C),
        SE_PARAMS + DIA_PARAMS,
    ),
    'stacked-map': (
        lambda n: (
            2 * C * 2 + 10 * C * 4,
            C * n + 2 + C + 2 * C * n + 13 * C + 2 * 4 + 4 * C * n + 8 * 4 * n + 6 * 4,
        ),
        C + SE_PARAMS + DIA_PARAMS + 2 * 4,
    ),
}
# what each looks at of its input; every other case looks at the map
READS = {
    **dict.fromkeys(('asr', 'asr-twice', 'stacked-constant'), 'nothing'),
    **dict.fromkeys(('se', 'se-identity', 'dia', 'dia-identity', 'stacked', 'stacked-recurrent'), 'mean'),
    **dict.fromkeys(('timm-se', 'timm-ese', 'timm-eca', 'timm-ecam', 'timm-ceca'), 'mean'),
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


def test_it_says_what_it_reads(request, case):
    name = request.node.callspec.params['case']
    shared = SharedAttention(case.cfg, CHANNELS)
    assert shared.reads == shared.attention.reads == READS.get(name, 'map')


@pytest.mark.parametrize('name', READS)
@pytest.mark.parametrize(('dtype', 'rtol'), [(torch.float, 1e-6), (torch.double, 1e-12)])
def test_a_gate_is_a_function_of_the_mean_or_of_nothing(name, dtype, rtol):
    pytest.importorskip(CASES[name].needs)
    module = build(CASES[name].cfg).to(dtype)
    for training in (True, False):
        module.train(training)
        for shape in CASES[name].shapes:
            x = torch.randn(shape, dtype=dtype)
            gate = module.gate_from_mean(x.mean((2, 3)))
            assert gate.shape == shape[:2]
            torch.testing.assert_close(module(x), x * gate[:, :, None, None], rtol=rtol, atol=0)
            if READS[name] == 'nothing':
                constant = module.constant_gate()
                assert constant.shape == (CHANNELS,)
                assert torch.equal(gate, constant.expand_as(gate))
                assert torch.equal(module(x), x * constant.view(1, -1, 1, 1))


@pytest.mark.parametrize('name', READS)
def test_steps_of_a_map_are_steps_of_its_mean(name):
    pytest.importorskip(CASES[name].needs)
    shared = SharedAttention(CASES[name].cfg, CHANNELS).double()
    for parameter in shared.parameters():
        nn.init.normal_(parameter, std=0.5)
    carry = other = None if shared.has_carry else 'untouched'
    for x in torch.randn(3, 2, CHANNELS, 4, 5, dtype=torch.double):
        y, carry = shared.step(x, carry)
        gate, other = shared.step_from_mean(x.mean((2, 3)), other)
        torch.testing.assert_close(y, x * gate[:, :, None, None], rtol=1e-12, atol=0)
        torch.testing.assert_close(carry, other, rtol=0, atol=0) if shared.has_carry else None
    assert shared.has_carry or carry == other == 'untouched'


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


def test_what_reads_nothing_costs_a_batch_its_gate_once():
    module = build(ASR_OF_SE)
    one, three = (count_work(partial(module, torch.randn(batch, C, 4, 4))) for batch in (1, 3))
    assert three == one + Work(0, 2 * C * 16)


def test_a_batch_costs_as_much_as_its_images():
    module = build(CASES['efficient-heads'].cfg)
    one, three = (count_work(partial(module, torch.randn(batch, C, 4, 4))) for batch in (1, 3))
    assert three == one + one + one

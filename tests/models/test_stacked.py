"""Several attentions at one site, in turn."""

import pytest
import torch
from torch import nn

from ean_mm.models import DIA, EANBackbone, SharedAttention, Stacked
from ean_mm.models.attentions import AttentionModule
from ean_mm.registry import MODELS

C = 8
SE = dict(type='ean_mm.SE', reduction=2)
SGE = dict(type='ean_mm.SGE', groups=4)
RECURRENT = dict(type='ean_mm.DIA', reduction=2)
ASR = dict(type='ean_mm.ASR', attention=SE)
STACKS = {
    'asr se': [ASR, SE],
    'se se': [SE, SE],
    'asr asr': [ASR, ASR],
    'asr dia se': [ASR, RECURRENT, SE],
    'asr sge': [ASR, SGE],
    'se dia sge': [SE, RECURRENT, SGE],
    'one': [SE],
}


@pytest.fixture(params=STACKS)
def stacked(request):
    return build(STACKS[request.param])


def build(attentions):
    torch.manual_seed(0)
    module = Stacked(C, attentions).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module


def in_turn(stacked, x, carries):
    """One attention after the other, each with its own state."""
    for index, attention in enumerate(stacked.attentions):
        if isinstance(attention, DIA):
            x, carries[index] = attention.step(x, carries.get(index))
        else:
            x = attention(x)
    return x


def test_it_applies_its_attentions_in_turn(stacked):
    carry, carries = None, {}
    for x in torch.randn(3, 2, C, 4, 5, dtype=torch.double):
        y, carry = stacked.step(x, carry)
        torch.testing.assert_close(y, in_turn(stacked, x, carries), rtol=1e-12, atol=1e-12)
    assert torch.equal(stacked(x), stacked.step(x, None)[0])


def test_a_recurrent_one_makes_it_recurrent():
    x = torch.randn(2, C, 4, 4)
    shared = SharedAttention(dict(type='ean_mm.Stacked', attentions=[SE, RECURRENT]), C)
    first, carry = shared.step(x, None)
    assert shared.has_carry
    assert carry[0] is None
    assert not torch.equal(first, shared.step(x, carry)[0])
    assert not SharedAttention(dict(type='ean_mm.Stacked', attentions=[ASR, SE]), C).has_carry


@pytest.mark.parametrize('name', STACKS)
def test_it_splits_into_what_is_constant_and_the_rest(name):
    stacked = build(STACKS[name])
    gate, rest = stacked.split()
    num_asr = name.split().count('asr')
    assert (gate is None) == (num_asr == 0)
    assert (rest is None) == (num_asr == len(stacked.attentions))
    x = torch.randn(2, C, 4, 5, dtype=torch.double)
    y = x if gate is None else x * gate[:, None, None]
    y = y if rest is None else rest(y)
    torch.testing.assert_close(stacked(x), y, rtol=1e-12, atol=1e-12)
    others = list(stacked.attentions)[num_asr:]
    if len(others) == 1:
        assert rest is others[0]
    elif others:
        assert all(kept is other for kept, other in zip(rest.attentions, others, strict=True))
        assert rest.is_recurrent == stacked.is_recurrent
        assert rest.reads == ('map' if 'sge' in name else 'mean')


@pytest.mark.parametrize(
    ('cfg', 'is_constant', 'kept'),
    [
        (ASR, True, None),
        (SE, False, 'SE'),
        (SGE, False, 'SGE'),
        (dict(type='ean_mm.Stacked', attentions=[ASR, SE]), True, 'SE'),
        (dict(type='ean_mm.Stacked', attentions=[SE, SE]), False, 'Stacked'),
        (dict(type='ean_mm.Stacked', attentions=[ASR, ASR]), True, None),
        (dict(type=nn.Conv2d, out_channels=C, kernel_size=1), False, 'Conv2d'),
    ],
)
def test_a_shared_attention_splits_as_its_attention_does(cfg, is_constant, kept):
    shared = SharedAttention(cfg, C)
    gate, rest = shared.split()
    assert (gate is not None) == is_constant
    assert (rest and type(rest).__name__) == kept
    x = torch.randn(2, C, 4, 4)
    y = x if gate is None else x * gate[:, None, None]
    torch.testing.assert_close(shared(x), y if rest is None else rest(y))


def test_every_parameter_learns():
    stacked = build([ASR, SE, SGE])
    stacked(torch.randn(2, C, 4, 4).double()).square().sum().backward()
    assert all(parameter.grad.any() for parameter in stacked.parameters())


def test_what_binds_one_binds_all():
    class Bound(AttentionModule):
        bound_to = 'one feature size (4, 4)'

        def forward(self, x):
            return x.sigmoid()

    cfg = dict(type='ean_mm.Stacked', attentions=[SE, dict(type=Bound)])
    shared = SharedAttention(cfg, C)
    y = shared.attention(torch.randn(2, C, 4, 4, requires_grad=True))
    y += 1
    y.sum().backward()
    with pytest.raises(
        ValueError, match=r'which is bound to one feature size \(4, 4\), but got one module for 2 sites'
    ):
        SharedAttention(cfg, C, num_sites=2)


def test_it_serves_a_backbone():
    cfg = dict(type='ean_mm.Stacked', attentions=[ASR, RECURRENT])
    net = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8), cfg)
    outputs = net(torch.randn(2, 3, 16, 16))
    sum(out.square().mean() for out in outputs).backward()
    assert all(parameter.grad is not None for parameter in net.ean.parameters())


def test_a_recurrent_stack_is_not_recomputed():
    pytest.importorskip('mmpretrain')
    backbone = dict(type='mmpretrain.ResNet', depth=18, with_cp=True)
    EANBackbone(backbone, dict(type='ean_mm.Stacked', attentions=[ASR, SE]))
    message = r'`with_cp` must be False with an attention that hands a state .*ean_mm.Stacked'
    with pytest.raises(ValueError, match=message):
        EANBackbone(backbone, dict(type='ean_mm.Stacked', attentions=[ASR, RECURRENT]))


def test_a_recurrent_stack_is_no_plugin_layer():
    wrapped = dict(type='ean_mm.PluginLayer', in_channels=C)
    MODELS.build({**wrapped, 'cfg': dict(type='ean_mm.Stacked', attentions=[SE])})
    with pytest.raises(ValueError, match='`cfg` must name a layer that hands on no state'):
        MODELS.build({**wrapped, 'cfg': dict(type='ean_mm.Stacked', attentions=[RECURRENT])})


@pytest.mark.parametrize(
    ('attentions', 'message'),
    [
        ([], r'`attentions` must be a list of one config or more, but got \[\]'),
        (SE, r"`attentions` must be a list of one config or more, but got {'type'"),
        ('SE', "`attentions` must be a list of one config or more, but got 'SE'"),
        (None, '`attentions` must be a list of one config or more, but got None'),
        ([None], "`attentions` must be a dict with a 'type', but got None"),
        ([dict(type='ean_mm.SSE')], "but got 'ean_mm.SSE'; did you mean 'ean_mm.SE'"),
        (
            [SE, ASR],
            r'`attentions` must have each ean_mm.ASR in front, but got .*ASR.* behind an attention that reads its',
        ),
        ([ASR, SGE, ASR], '`attentions` must have each ean_mm.ASR in front'),
        ([dict(type='ean_mm.Stacked', attentions=[SE])], r'`attentions` must be one flat list, but got .*Stacked'),
    ],
)
def test_what_cannot_be_stacked_is_refused(attentions, message):
    with pytest.raises(ValueError, match=message):
        Stacked(C, attentions)

"""ASR: a gate that is the same for every image, trained through an attention, and gone in the layer before it."""

import copy

import pytest
import torch
from mmengine.model import BaseModule, ModuleDict
from torch import nn

from ean_mm.models import ASR, EANBackbone, SharedAttention
from ean_mm.models.attention_spec import OWN_ATTENTIONS
from ean_mm.registry import MODELS

C = 8
SE = dict(type='ean_mm.SE', reduction=2)
DIA = dict(type='ean_mm.DIA', reduction=2)
INSIDE = {
    'se': SE,
    'se-identity': dict(SE, gate_init='identity'),
    'dia': DIA,
    'stacked': dict(type='ean_mm.Stacked', attentions=[SE, DIA]),
    **{f'timm-{name}': dict(type='ean_mm.TimmAttention', name=name) for name in ('se', 'ese', 'eca')},
}


@pytest.fixture(params=INSIDE)
def inside(request):
    if request.param.startswith('timm'):
        pytest.importorskip('timm')
    return INSIDE[request.param]


def build(attention, trained=True, **arguments):
    torch.manual_seed(0)
    asr = ASR(C, attention, **arguments).double()
    if trained:
        for parameter in asr.parameters():
            nn.init.normal_(parameter, std=0.7)
    return asr


@pytest.mark.parametrize('training', [True, False])
def test_every_image_is_multiplied_by_the_same(inside, training):
    asr = build(inside).train(training)
    v = asr.constant_gate()
    assert not torch.equal(v, v[:1].expand(C))
    for shape in ((1, C, 1, 1), (3, C, 4, 5), (2, C, 7, 2)):
        x = torch.randn(shape, dtype=torch.double)
        assert torch.equal(asr(x), x * v.view(1, C, 1, 1))
        assert torch.equal(asr(x * 0 + 1)[0, :, 0, 0], v)


def test_it_is_its_formula_with_se():
    asr = build(SE)
    psi, se = asr.psi[0].view(C), asr.attention[0]
    hidden = (se.squeeze.weight @ psi + se.squeeze.bias).clamp(min=0)
    v = 1 / (1 + torch.exp(-(se.excite.weight @ hidden + se.excite.bias)))
    torch.testing.assert_close(asr.constant_gate(), v, rtol=1e-12, atol=0)


def test_it_is_its_formula_with_dia_whose_state_is_zero():
    asr = build(DIA)
    dia = asr.attention[0]
    i, _, g, o = (dia.from_input(asr.psi[0].view(1, C)) + dia.from_state(torch.zeros(1, C).double())).chunk(4, 1)
    v = o.sigmoid() * (i.sigmoid() * g.tanh()).sigmoid()
    torch.testing.assert_close(asr.constant_gate(), v[0], rtol=1e-12, atol=0)


def test_the_gate_is_what_the_attention_multiplies_psi_by(inside):
    asr = build(inside)
    psi = asr.psi[0].detach()
    torch.testing.assert_close(asr.attention[0](psi), psi * asr.constant_gate().view(1, C, 1, 1), rtol=1e-12, atol=0)


def test_several_insertions_multiply(inside):
    asr = build(inside, num_insertions=3)
    alone = []
    for psi, attention in zip(asr.psi, asr.attention, strict=True):
        one = build(inside)
        one.psi[0], one.attention[0] = psi, attention
        alone.append(one.constant_gate())
    assert not torch.equal(alone[0], alone[1])
    torch.testing.assert_close(asr.constant_gate(), alone[0] * alone[1] * alone[2], rtol=1e-12, atol=0)


def test_psi_starts_at_a_tenth():
    asr = ASR(C, SE, num_insertions=2)
    assert [tuple(psi.shape) for psi in asr.psi] == [(1, C, 1, 1)] * 2
    assert all((psi == 0.1).all() for psi in asr.psi)
    assert (ASR(C, SE, initial_value=-2).psi[0] == -2).all()
    assert not torch.equal(asr.attention[0].squeeze.weight, asr.attention[1].squeeze.weight)


def test_an_identity_start_of_the_attention_inside_holds():
    x = torch.randn(2, C, 4, 4)
    assert torch.equal(ASR(C, dict(SE, gate_init='identity'), num_insertions=2)(x), x)


def test_the_keys_are_simple():
    parts = ('squeeze.weight', 'squeeze.bias', 'excite.weight', 'excite.bias')
    assert list(ASR(C, SE).state_dict()) == ['psi.0', *(f'attention.0.{part}' for part in parts)]


def test_psi_and_the_attention_learn(inside):
    asr = build(inside, num_insertions=2)
    for parameter in asr.parameters():
        parameter.data.abs_()  # no hidden unit is dead
    (asr(torch.randn(2, C, 3, 3).double()) * torch.randn(2, C, 3, 3).double()).sum().backward()
    grads = dict(asr.named_parameters())
    # what reads a state of zeros is multiplied by zero
    silent = {name for name in grads if 'from_state.0.weight' in name}
    assert {name for name, parameter in grads.items() if parameter.grad is None or not parameter.grad.any()} == silent


def test_the_product_may_be_made_in_place():
    shared = SharedAttention(dict(type='ean_mm.ASR', attention=SE), C)
    x = torch.randn(2, C, 3, 3)
    with torch.no_grad():
        expected = shared(x)
        y = shared(x, in_place=True)
    assert torch.equal(y, expected)
    assert y.data_ptr() == x.data_ptr()


@pytest.mark.parametrize('training', [True, False])
def test_a_norm_takes_the_gate_into_its_weights(inside, training):
    torch.manual_seed(0)
    norm, asr = nn.BatchNorm2d(C).double(), build(inside)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    folded = copy.deepcopy(norm)
    with torch.no_grad():
        folded.weight *= asr.constant_gate()
        folded.bias *= asr.constant_gate()
    norm.train(training)
    folded.train(training)
    x = torch.randn(4, C, 5, 5, dtype=torch.double)
    torch.testing.assert_close(folded(x), asr(norm(x)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('cfg', [SE, dict(type='ean_mm.Stacked', attentions=[SE, DIA])])
def test_it_exports_whole(cfg):
    asr = ASR(C, cfg).eval()
    x = torch.randn(2, C, 3, 3)
    assert torch.equal(torch.export.export(asr, (x,)).module()(x), asr(x))


# -- initialisation --------------------------------------------------------------------------------------------------------


def test_the_initialisation_of_a_model_around_it_leaves_psi_alone():
    class Model(BaseModule):
        def __init__(self):
            layers = ['Linear', 'Conv2d', 'ASR', 'ParameterList', 'SE', 'BaseModule']
            super().__init__(init_cfg=dict(type='Constant', layer=layers, val=0.3, bias=0.3))
            self.stages = ModuleDict(dict(one=SharedAttention(dict(type='ean_mm.ASR', attention=SE), C)))

    model = Model()
    model.init_weights()
    asr = model.stages['one'].attention
    assert (asr.psi[0] == 0.1).all()
    assert all((parameter == 0.3).all() for parameter in asr.attention.parameters())


def test_an_identity_start_inside_outlives_the_initialisation_around_it():
    asr = ASR(C, dict(SE, gate_init='identity'), init_cfg=dict(type='Normal', layer='Linear', std=1.0))
    asr.init_weights()
    x = torch.randn(2, C, 3, 3)
    assert torch.equal(asr(x), x)


def test_loaded_weights_stay(tmp_path):
    trained = ASR(C, dict(SE, gate_init='identity'))
    for parameter in trained.parameters():
        nn.init.normal_(parameter)
    torch.save(trained.state_dict(), tmp_path / 'trained.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'trained.pth'))
    asr = ASR(C, dict(SE, gate_init='identity'), init_cfg=init_cfg)
    asr.init_weights()
    assert all(torch.equal(*pair) for pair in zip(asr.parameters(), trained.parameters(), strict=True))


# -- in a backbone ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('sharing', ['stage', 'block'])
@pytest.mark.parametrize('scheme', ['11 11 11', '10 00 01'])
def test_it_takes_any_sharing_and_any_density(sharing, scheme):
    cfg = dict(type='ean_mm.ASR', attention=SE, num_insertions=2)
    net = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8), cfg, sharing=sharing, scheme=scheme)
    net.init_weights()
    folded = copy.deepcopy(net).double().eval()
    for parameter in folded.ean.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 3, 16, 16, dtype=torch.double)
    expected = folded(x)
    with torch.no_grad():
        for slot in folded.slots:
            if slot.connected:
                slot.child.weight *= slot.attention.attention.constant_gate()
                slot.child.bias *= slot.attention.attention.constant_gate()
    folded.set_scheme('none')
    for found, wanted in zip(folded(x), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    net.train()
    sum(out.square().mean() for out in net(x.float())).backward()
    assert len(net.ean) == len({group for group, bit in zip(net.groups, net.scheme.mask, strict=True) if bit})
    assert all(parameter.grad is not None for parameter in net.ean.parameters())


def test_connected_blocks_of_a_stage_share_psi():
    net = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8), dict(type='ean_mm.ASR', attention=SE))
    assert [name for name in net.state_dict() if 'psi' in name] == [f'ean.stage{k}.attention.psi.0' for k in range(3)]


# -- refusals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            dict(attention=dict(type='ean_mm.SGE', groups=4)),
            r'`attention` must gate each channel by the means .* got .*SGE',
        ),
        (
            dict(attention=dict(type='ean_mm.EfficientAttention')),
            r'`attention` must gate each channel .* no constant per',
        ),
        (
            dict(attention=dict(type='ean_mm.Stacked', attentions=[SE, dict(type='ean_mm.SGE', groups=4)])),
            '`attention` must gate each channel by the means',
        ),
        (
            dict(attention=dict(type='ean_mm.ASR', attention=SE)),
            r'`attention` must read its input, but got .*ASR.*, which is an ASR or holds one',
        ),
        (
            dict(attention=dict(type='ean_mm.Stacked', attentions=[dict(type='ean_mm.ASR', attention=SE), SE])),
            '`attention` must read its input, but got',
        ),
        (
            dict(attention=dict(type='ean_mm.SSE')),
            "`attention` must name a registered model, but got 'ean_mm.SSE'; did you",
        ),
        (dict(attention=None), "`attention` must be a dict with a 'type', but got None"),
        (dict(attention=dict(SE, reduction=0)), '`reduction` must be a whole number of at least 1, but got 0'),
        (dict(attention=SE, num_insertions=0), '`num_insertions` must be a whole number of at least 1, but got 0'),
        (dict(attention=SE, initial_value=float('nan')), '`initial_value` must be a finite number, but got nan'),
        (dict(attention=SE, initial_value=None), '`initial_value` must be a finite number, but got None'),
        (dict(attention=SE, in_channels=0), '`in_channels` must be a whole number of at least 1, but got 0'),
    ],
)
def test_what_cannot_be_folded_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ASR(**{'in_channels': C, **arguments})


@pytest.mark.parametrize(
    'cfg',
    [
        dict(name='cbam'),
        dict(name='gc'),
        dict(name='se', add_maxpool=True),
        dict(name='ese', add_maxpool=True),
        dict(name='se', norm_layer=nn.BatchNorm2d),
    ],
)
def test_timms_modules_that_read_more_than_means_are_refused(cfg):
    pytest.importorskip('timm')
    with pytest.raises(ValueError, match='`attention` must gate each channel by the means of the channels alone'):
        ASR(16, dict(type='ean_mm.TimmAttention', **cfg))


def test_a_layer_of_a_user_promises_nothing():
    class Gate(nn.Module):
        def __init__(self, in_channels):
            super().__init__()

    with pytest.raises(ValueError, match='`attention` must gate each channel by the means of the channels alone'):
        ASR(C, dict(type=Gate))


def test_it_is_an_attention_of_our_own():
    assert OWN_ATTENTIONS['ean_mm.ASR'] is ASR is MODELS.get('ASR')

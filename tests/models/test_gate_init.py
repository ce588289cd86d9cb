"""An attention that starts as the identity changes nothing when it is plugged in, and learns from there."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModule, ModuleDict
from torch import nn

from ean_mm.models import DIA, SE, SGE, EANBackbone, EfficientAttention
from ean_mm.models.attention_spec import attention_spec, reconcile_attention
from ean_mm.models.attentions.base import GatedAttention
from ean_mm.registry import MODELS
from ean_mm.structures import TicketError

C = 8
CONFIGS = {
    'se': dict(type='ean_mm.SE', reduction=2),
    'sge': dict(type='ean_mm.SGE', groups=4),
    'dia': dict(type='ean_mm.DIA', reduction=2),
    'efficient': dict(type='ean_mm.EfficientAttention'),
    'efficient-scaling': dict(type='ean_mm.EfficientAttention', num_heads=2, normalization='scaling'),
}


@pytest.fixture(params=CONFIGS)
def cfg(request):
    return {**CONFIGS[request.param], 'in_channels': C, 'gate_init': 'identity'}


def run_twice(module, x):
    """The output of two sites in a row that share the module."""
    if not hasattr(module, 'step'):
        return module(module(x))
    y, carry = module.step(x, None)
    return module.step(y, carry)[0]


def test_every_gated_attention_is_tested():
    assert {MODELS.get(cfg['type']) for cfg in CONFIGS.values()} == set(GatedAttention.__subclasses__())


@pytest.mark.parametrize('dtype', [torch.float, torch.double, torch.bfloat16])
@pytest.mark.parametrize('size', [(5, 7), (1, 1)])
def test_the_first_output_is_the_input_bit_for_bit(cfg, dtype, size):
    module = MODELS.build(cfg).to(dtype)
    x = torch.randn(2, C, *size).to(dtype) * 3
    assert torch.equal(run_twice(module, x), x)


def test_dia_multiplies_by_four_h_and_hands_on_h():
    cfg = dict(CONFIGS['dia'], in_channels=C)
    unit, paper = MODELS.build({**cfg, 'gate_init': 'identity'}), MODELS.build(cfg)
    unit.load_state_dict(paper.state_dict())
    carry = paper_carry = None
    for x in torch.randn(2, 3, C, 4, 4):
        y, carry = unit.step(x, carry)
        _, paper_carry = paper.step(x, paper_carry)
        assert all(torch.equal(*pair) for pair in zip(carry, paper_carry, strict=True))
        assert torch.equal(y, x * (4 * carry[0])[..., None, None])


def test_the_start_of_the_paper_is_the_default(cfg):
    without = {key: value for key, value in cfg.items() if key != 'gate_init'}
    module, same, other = (MODELS.build(each) for each in (without, {**cfg, 'gate_init': 'paper'}, cfg))
    same.load_state_dict(module.state_dict())
    x = torch.randn(2, C, 4, 4)
    assert torch.equal(module(x), same(x))
    assert not torch.equal(module(x), x)
    assert other.state_dict().keys() == module.state_dict().keys()


def test_it_outlives_the_initialisation_of_a_model_around_it(cfg):
    """A backbone's ``init_cfg`` reaches every Linear, convolution and SGE inside."""

    class Model(BaseModule):
        def __init__(self, attention):
            super().__init__(init_cfg=dict(type='Constant', layer=['Linear', 'Conv2d', 'SGE'], val=0.3, bias=0.3))
            self.stages = ModuleDict(dict(shared=MODELS.build(attention)))

        def forward(self, x):
            return run_twice(self.stages['shared'].attention, x)

    shared = dict(
        type='ean_mm.SharedAttention', attention={k: v for k, v in cfg.items() if k != 'in_channels'}, in_channels=C
    )
    model, paper = Model(shared), Model({**shared, 'attention': {**shared['attention'], 'gate_init': 'paper'}})
    model.init_weights()
    paper.init_weights()
    x = torch.randn(2, C, 4, 4)
    assert torch.equal(model(x), x)
    assert all((parameter == 0.3).all() for parameter in paper.parameters())
    zeros = {f'stages.shared.attention.{name}' for name in MODELS.get(cfg['type']).zero_at_identity}
    assert zeros == {name for name, parameter in model.named_parameters() if not parameter.any()}


def test_a_backbone_inside_a_model_starts_as_the_plain_one(cfg):
    class Model(BaseModule):
        def __init__(self):
            super().__init__(init_cfg=dict(type='Normal', layer=['Linear', 'SGE'], std=0.3, bias=0.3))
            attention = {key: value for key, value in cfg.items() if key != 'in_channels'}
            self.backbone = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8), attention)

    model = Model()
    model.init_weights()
    image = torch.randn(2, 3, 16, 16)
    model.eval()
    on = model.backbone(image)[-1]
    model.backbone.set_scheme('none')
    assert torch.equal(on, model.backbone(image)[-1])


def test_its_own_init_cfg_does_not_undo_it(cfg):
    module = MODELS.build({**cfg, 'init_cfg': dict(type='Normal', layer=['Linear', 'Conv2d', 'SGE'], std=1.0)})
    module.init_weights()
    x = torch.randn(2, C, 4, 4)
    assert torch.equal(module(x), x)


def test_loaded_weights_stay(cfg, tmp_path):
    trained = MODELS.build(cfg)
    for parameter in trained.parameters():
        nn.init.normal_(parameter)
    torch.save(trained.state_dict(), tmp_path / 'trained.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'trained.pth'))
    for given in (init_cfg, [init_cfg]):
        module = MODELS.build({**cfg, 'init_cfg': given})
        module.init_weights()
        assert all(torch.equal(*pair) for pair in zip(module.parameters(), trained.parameters(), strict=True))


def test_initialising_again_forgets_nothing(cfg):
    module = MODELS.build(cfg)
    module.init_weights()
    for parameter in module.parameters():
        nn.init.ones_(parameter)
    module.init_weights()
    assert all((parameter == 1).all() for parameter in module.parameters())


def test_every_parameter_learns_within_two_steps(cfg):
    # with softmax over positions a constant added to every position of a key channel cancels, whatever the start
    never = {'keys.bias'} if cfg['type'].endswith('EfficientAttention') and 'normalization' not in cfg else set()
    torch.manual_seed(0)
    module = MODELS.build(cfg).double()
    x, target = torch.randn(2, 4, C, 4, 4, dtype=torch.double)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    learned = set()
    for _ in range(2):
        optimizer.zero_grad()
        (run_twice(module, x) - target).square().mean().backward()
        learned |= {name for name, p in module.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-12}
        optimizer.step()
    assert learned == {name for name, _ in module.named_parameters()} - never
    assert not torch.equal(run_twice(module, x), x)


@pytest.mark.parametrize('training', [True, False])
def test_a_trained_network_is_left_as_it_is(cfg, training):
    attention = {key: value for key, value in cfg.items() if key != 'in_channels'}
    net = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8), attention)
    net.train(training)
    x = torch.randn(2, 3, 16, 16)
    with_attention = net(x)
    net.set_scheme('none')
    assert all(torch.equal(*pair) for pair in zip(with_attention, net(x), strict=True))


@pytest.mark.parametrize('cls', [SE, SGE, DIA, EfficientAttention])
@pytest.mark.parametrize('value', ['zero', None, True])
def test_another_start_is_refused(cls, value):
    with pytest.raises(ValueError, match=rf"`gate_init` must be one of \('paper', 'identity'\), but got {value!r}"):
        cls(64, gate_init=value)


# -- in a ticket -----------------------------------------------------------------------------------------------------------


def test_a_ticket_names_the_start(cfg):
    attention = {key: value for key, value in cfg.items() if key != 'in_channels'}
    assert attention_spec(attention)['gate_init'] == 'identity'
    assert attention_spec({key: attention[key] for key in attention if key != 'gate_init'})['gate_init'] == 'paper'


def test_an_older_ticket_agrees_with_the_start_of_the_paper(cfg):
    old = {key: value for key, value in cfg.items() if key not in ('in_channels', 'gate_init')}
    ticket = SimpleNamespace(attention=old)
    assert reconcile_attention(None, ticket, 'old.json') == attention_spec(old)
    assert reconcile_attention({**old, 'gate_init': 'paper'}, ticket, 'old.json')['gate_init'] == 'paper'
    with pytest.raises(TicketError, match='`attention` must agree with the ticket'):
        reconcile_attention({**old, 'gate_init': 'identity'}, ticket, 'old.json')

"""The rewritten backbone as a type of its own: built from a config, loaded, copied, exported."""

import copy

import pytest
import torch
from random_networks import CIFAR, DIA, RESNET_50, SE, build, images, largest_error, run, wrap
from torch import nn

from ean_mm.models.site_tracer import GraphError
from ean_mm.registry import MODELS
from ean_mm.reparam import AcceleratedBackbone

WRAPPED = dict(type='ean_mm.EANBackbone', backbone=CIFAR, attention=DIA, scheme='11 01 00', sharing='block')


def are_equal(found, wanted):
    return all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    'cfg', [WRAPPED, CIFAR, dict(WRAPPED, attention=dict(type='ean_mm.SGE', groups=4))], ids=['DIA', 'bare', 'SGE']
)
def test_its_config_takes_its_weights(cfg):
    trained = build(cfg)
    deployed = AcceleratedBackbone.of(trained)
    assert largest_error(run(deployed, images()), run(trained, images())) <= 1e-10
    built = MODELS.build(dict(type='ean_mm.AcceleratedBackbone', backbone=cfg)).double()
    built.load_state_dict(deployed.state_dict(), strict=True)
    assert are_equal(run(built, images()), run(deployed, images()))


def test_its_keys_are_the_backbones_without_norms():
    trained = build(WRAPPED)
    keys = set(AcceleratedBackbone.of(trained).state_dict())
    norms = tuple(name for name, module in trained.named_modules() if isinstance(module, nn.BatchNorm2d))
    norms = tuple(name.removeprefix('backbone.').replace('.child', '') for name in norms)
    given = {key for key in trained.state_dict() if not key.startswith(norms)}
    assert given < keys
    assert {key.rpartition('.')[2] for key in keys - given} == {'bias'}


def test_weights_of_the_trained_network_are_refused():
    trained = build(WRAPPED)
    with pytest.raises(RuntimeError, match='Unexpected key'):
        AcceleratedBackbone.of(trained).load_state_dict(trained.state_dict())


def test_it_stays_in_evaluation_mode():
    net = AcceleratedBackbone(WRAPPED)
    assert not any(module.training for module in net.modules())
    whole = nn.Sequential(net, nn.Dropout()).train()
    assert whole[1].training
    assert not any(module.training for module in net.modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_the_trained_one_is_left_as_it_is():
    trained = wrap(CIFAR, SE)
    trained.train()
    weights = {name: id(parameter) for name, parameter in trained.named_parameters()}
    net = AcceleratedBackbone.of(trained)
    assert trained.training
    assert all(parameter.requires_grad for parameter in trained.parameters())
    assert {name: id(parameter) for name, parameter in trained.named_parameters()} == weights
    assert not {id(parameter) for parameter in net.parameters()} & set(weights.values())


def test_it_is_as_precise_as_what_it_is_made_of():
    assert {parameter.dtype for parameter in AcceleratedBackbone.of(wrap(CIFAR)).parameters()} == {torch.double}


def test_it_can_be_copied():
    net = AcceleratedBackbone.of(wrap(CIFAR, DIA))
    copied, wanted = copy.deepcopy(net), run(net, images())
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    assert are_equal(run(copied, images()), wanted)
    assert not copied.train().training


def test_it_can_be_exported_with_a_free_batch():
    net = AcceleratedBackbone.of(wrap(dict(CIFAR, depth=20, block='bottleneck'), DIA))
    program = torch.export.export(net, (images(),), dynamic_shapes=({0: torch.export.Dim('batch')},), strict=False)
    x = torch.cat([images(seed=seed) for seed in range(3)])
    assert largest_error(run(program.module(), x), run(net, x)) <= 1e-12


def test_the_whole_family_of_names():
    pytest.importorskip('mmpretrain')
    net = AcceleratedBackbone.of(wrap(RESNET_50, SE))
    assert len([key for key in net.state_dict() if key.endswith('conv3.bias')]) == 16
    assert 'ean.stage3.attention.excite.weight' in net.state_dict()


class Fickle(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_pass_that_depends_on_the_image_is_refused():
    with pytest.raises(GraphError, match='the forward pass of Fickle is no fixed graph'):
        AcceleratedBackbone(dict(type=Fickle))

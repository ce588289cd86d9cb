"""The config that goes with deployed weights: complete, and free of what inference does not read."""

import copy

import pytest
from mmengine.config import Config
from random_networks import ASR, CIFAR, SE, wrap

from ean_mm.hooks.retrain_config import format_config
from ean_mm.launch.deployment.config import accelerated, config_of, deploy_config, our_types
from ean_mm.reparam import fold_gates

BARE = dict(type='mmpretrain.ResNet', depth=18)
GIVEN = dict(
    type='ean_mm.EANBackbone',
    backbone=dict(CIFAR, init_cfg=dict(type='Kaiming', layer='Conv2d')),
    attention=SE,
    ticket='ticket.json',
    residual_blocks=dict(MyBlock=dict(after='bn2')),
    allow_missing=['x'],
)


def config(**fields):
    wrapped = dict(type='ean_mm.EANBackbone', backbone=BARE, attention=SE)
    model = dict(type='Outer', parts=[dict(type='Inner', backbone=wrapped)], head=dict(type='Head', classes=('a', 'b')))
    return Config(dict(default_scope='mmpretrain', model=model, test_cfg=dict(), **fields))


# -- of the backbone ---------------------------------------------------------------------------------------------------------


def test_a_bare_backbone_is_what_it_was_without_its_start():
    assert config_of(wrap(CIFAR, scheme='none'), GIVEN) == CIFAR


def test_a_wrapped_one_says_what_is_connected_and_needs_no_ticket():
    net = wrap(CIFAR, SE, scheme='11 01 10', sharing='block')
    assert config_of(net, GIVEN) == dict(
        type='ean_mm.EANBackbone',
        residual_blocks=dict(MyBlock=dict(after='bn2')),
        backbone=CIFAR,
        attention=SE,
        sharing='block',
        scheme='11 01 10',
    )


def test_folded_sites_are_off():
    net = wrap(CIFAR, SE)
    gates = {site: net.slots[site].child.weight.detach() for site in (0, 4, 5)}
    assert config_of(fold_gates(net, gates), GIVEN)['scheme'] == '01 11 00'


# -- of everything -----------------------------------------------------------------------------------------------------------


def test_the_backbone_is_replaced_wherever_it_is():
    cfg = config()
    before = copy.deepcopy(cfg.to_dict())
    found = deploy_config(cfg, accelerated(BARE))
    assert found.model.parts[0].backbone == dict(type='ean_mm.AcceleratedBackbone', backbone=BARE)
    assert found.model.head.classes == ('a', 'b')
    assert cfg.to_dict() == before


def test_what_only_training_reads_is_left_out():
    training = dict(
        train_cfg=dict(max_epochs=1), optim_wrapper=dict(), load_from='x', work_dir='y', randomness=dict(seed=0)
    )
    kept = dict(
        test_dataloader=dict(batch_size=1), test_evaluator=dict(), test_pipeline=[], env_cfg=dict(), log_level='INFO'
    )
    found = deploy_config(config(**training, **kept), BARE).to_dict()
    assert found == dict(
        default_scope='mmpretrain', model=deploy_config(config(), BARE).model.to_dict(), test_cfg=dict(), **kept
    )


@pytest.mark.parametrize(
    ('backbone', 'imports', 'kept'),
    [
        (BARE, ['ean_mm', 'mmseg.models'], ['mmseg.models']),
        (BARE, ['ean_mm.models', 'ean_mm'], None),
        (BARE, ['ean_mm_of_others'], ['ean_mm_of_others']),
        (accelerated(BARE), ['ean_mm', 'mmseg.models'], ['ean_mm', 'mmseg.models']),
        (BARE, None, None),
    ],
)
def test_our_package_is_imported_where_it_is_needed(backbone, imports, kept):
    given = {} if imports is None else dict(custom_imports=dict(imports=imports, allow_failed_imports=False))
    found = deploy_config(config(**given), backbone)
    assert found.get('custom_imports') == (kept and dict(imports=kept, allow_failed_imports=False))


def test_our_types_are_found_each_once():
    model = dict(
        type='ean_mm.Counter',
        parts=[dict(type='A', x=(dict(type='ean_mm.SE'),)), dict(type='ean_mm.SE')],
        y=dict(z=ASR),
    )
    assert our_types(model) == ['ean_mm.Counter', 'ean_mm.SE', 'ean_mm.ASR']
    assert our_types(dict(type='mmpretrain.X', backbone=BARE)) == []


def test_the_text_is_the_config(tmp_path):
    cfg = deploy_config(config(test_pipeline=[dict(type='Resize', scale=(1, 2), ratio=None, keep=True)]), BARE)
    (tmp_path / 'deployed.py').write_text(format_config(cfg.to_dict(), 'The network of x.py, deployed.'))
    assert Config.fromfile(tmp_path / 'deployed.py').to_dict() == cfg.to_dict()
    assert (tmp_path / 'deployed.py').read_text().startswith('"""The network of x.py, deployed."""\n')

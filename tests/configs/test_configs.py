"""Every shipped config loads, says what it is, and builds its model on the CPU."""

import ast
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from ean_mm.hooks.wrapped_backbone import find_backbone
from ean_mm.search import Reward
from ean_mm.structures import BackboneFingerprint, ConnectionScheme, Ticket, TicketError

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / 'configs' / 'ean').glob('*.py'))


def searches(path):
    """Whether a config is for supernet and search; the others train what their backbone says."""
    others = ('_ticket', '_asr_', 'resnet14_digits', 'resnet14_se_digits', 'resnet18', '_stages34')
    return not any(part in path.stem for part in others)


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def path(request):
    pytest.importorskip('mmpretrain')
    return request.param


def test_there_are_configs():
    assert {'resnet20_se_digits', 'resnet50_se', 'resnet50_se_paper', 'resnet164_se_cifar100'} <= {
        path.stem for path in CONFIGS
    }


def test_it_starts_with_a_docstring(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.splitlines()[0].endswith(('.', 'val.'))


def test_it_inherits_at_most_twice_and_only_from_files_shipped_beside_it(path):
    def depth(current):
        assert path.parent in current.parents
        return max((1 + depth((current.parent / name).resolve()) for name in read_bases(current)), default=0)

    assert depth(path) <= 2


def read_bases(path):
    """What ``_base_`` of a config names, one file or several."""
    tree = ast.parse(path.read_text())
    found = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == '_base_']
    return [name for value in map(ast.literal_eval, found) for name in ([value] if isinstance(value, str) else value)]


def test_what_is_inherited_says_what_it_is_and_is_inherited():
    shipped = set((ROOT / 'configs/ean/_base_').rglob('*.py'))
    assert all(ast.get_docstring(ast.parse(path.read_text())) for path in shipped)
    everything = (ROOT / 'configs/ean').rglob('*.py')
    assert shipped <= {(path.parent / name).resolve() for path in everything for name in read_bases(path)}


def test_its_model_builds(path, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    cfg = Config.fromfile(path)
    if cfg.default_scope != 'mmengine':
        pytest.importorskip(f'{cfg.default_scope}.models')
    init_default_scope(cfg.default_scope)
    backbone = cfg.model.backbone
    if (backbone.get('ticket') or '').startswith('work_dirs'):
        backbone.ticket = write_ticket(backbone, tmp_path)
    model = MODELS.build(cfg.model)
    assert any(hook.type == 'ean_mm.SearchHook' for hook in cfg.custom_hooks) == searches(path)
    if not backbone.type.startswith('ean_mm.'):
        return  # a plain network, to compare with
    wrapped = find_backbone(model)
    says_where = '_ticket' in path.stem or backbone.get('scheme') is not None
    assert (wrapped.scheme == ConnectionScheme.all(wrapped.blocks_per_stage)) == (not says_where)


def write_ticket(backbone, directory):
    """The ticket that the search of this backbone would write, any scheme."""
    free = dict(backbone)
    free.pop('ticket')
    wrapped = MODELS.build(free)
    mask = [index % 2 == 0 for index in range(wrapped.num_connections)]
    Ticket(
        origin='given',
        scheme=ConnectionScheme.from_mask(mask, wrapped.blocks_per_stage),
        backbone=wrapped.fingerprint,
        attention=wrapped.attention_spec,
        sharing=wrapped.sharing,
    ).save(directory / 'ticket.json')
    return str(directory / 'ticket.json')


def test_a_ticket_config_without_its_ticket_says_so(monkeypatch, tmp_path):
    pytest.importorskip('mmpretrain')
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(ROOT / 'configs/ean/resnet50_se_ticket.py')
    init_default_scope(cfg.default_scope)
    with pytest.raises(TicketError, match=r'work_dirs/resnet50_se/ticket\.json'):
        MODELS.build(cfg.model)


def test_reward_and_training_images_are_disjoint_and_the_test_set_is_another(path):
    cfg = Config.fromfile(path)
    train, reward, test = (cfg[f'{name}_dataloader'].dataset for name in ('train', 'val', 'test'))
    if not searches(path):
        assert reward == test
        assert train.type != 'ean_mm.HoldOut'
    elif train.type == 'ean_mm.HoldOut':
        same = [key for key in train if key not in ('part', 'dataset')]
        assert (train.part, reward.part) == ('train', 'reward')
        assert all(train[key] == reward[key] for key in same)
        assert images_of(train.dataset) == images_of(reward.dataset) != images_of(test)
        assert 'train' in str(images_of(train.dataset))
    else:
        assert (train.split, reward.split, test.split) == ('train', 'reward', 'test')


def images_of(dataset):
    return dataset.get('split') or dataset.data_prefix


def test_the_paper_preset_is_the_published_protocol():
    cfg = Config.fromfile(ROOT / 'configs/ean/resnet50_se_paper.py')
    supernet, search = cfg.custom_hooks
    assert cfg.train_cfg.max_epochs == 40
    assert supernet.sampling == 'bernoulli'
    assert search.num_calibration_images == 0
    assert search.min_connected == 0
    assert search.strategy.preset == 'paper'
    reward = Reward(**search.reward)
    assert reward(55.0, [True] * 9 + [False] * 7) == 1.875
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert cfg.auto_scale_lr.base_batch_size == 256 == 8 * cfg.train_dataloader.batch_size


def test_the_networks_of_resnet14_differ_in_their_attention_alone():
    plain, se, asr = (
        Config.fromfile(ROOT / f'configs/ean/resnet14_{name}digits.py') for name in ('', 'se_', 'asr_se_')
    )
    assert plain.model.backbone.type == 'mmpretrain.ResNet_CIFAR'
    assert se.model.backbone.backbone == asr.model.backbone.backbone == plain.model.backbone
    assert asr.model.backbone.attention == dict(type='ean_mm.ASR', attention=se.model.backbone.attention)
    assert se.model.backbone.sharing == asr.model.backbone.sharing == 'block'
    for cfg in (plain, se, asr):
        cfg.model.pop('backbone')
    assert plain.to_dict() == se.to_dict() == asr.to_dict()
    recipe = Config.fromfile(ROOT / 'configs/ean/resnet20_se_ticket_digits.py')
    for key in ('train_dataloader', 'test_dataloader', 'optim_wrapper', 'randomness'):
        assert plain[key] == recipe[key]
    assert (
        plain.param_scheduler.T_max == plain.train_cfg.max_epochs == 40
    )  # at 28 plain and ASR have only begun to learn


@pytest.mark.parametrize(
    ('data', 'scheme'), [('', '00 11 11 11'), ('_cifar100', '00 11 11 11'), ('_digits', '00 00 11 11')]
)
def test_the_networks_of_resnet18_differ_in_their_convolutions_alone(data, scheme):
    plain, aa, eaa = (Config.fromfile(ROOT / f'configs/ean/resnet18{name}{data}.py') for name in ('', '_aa', '_eaa'))
    assert aa.model.backbone.backbone == eaa.model.backbone.backbone == plain.model.backbone
    heads = aa.model.backbone.conv.num_heads
    assert eaa.model.backbone.conv == dict(type='ean_mm.EAAConv2d', num_heads=heads)
    assert (aa.model.backbone.conv.type, heads) == ('ean_mm.AAConv2d', aa.model.backbone.conv.num_heads)
    assert aa.model.backbone.scheme == eaa.model.backbone.scheme == scheme
    for cfg in (plain, aa, eaa):
        cfg.model.pop('backbone')
    assert plain.to_dict() == aa.to_dict() == eaa.to_dict()


@pytest.mark.parametrize(('data', 'num_ranks'), [('', 8), ('_cifar100', 1), ('_digits', 1)])
def test_the_learning_rate_of_resnet18_is_that_of_aa_net(data, num_ranks):
    cfg = Config.fromfile(ROOT / f'configs/ean/resnet18{data}.py')
    assert cfg.optim_wrapper.optimizer.lr == 0.2 * num_ranks * cfg.train_dataloader.batch_size / 256
    warm_up, cosine = cfg.param_scheduler
    epochs = cfg.train_cfg.max_epochs
    assert (warm_up.type, warm_up.begin, warm_up.end) == ('LinearLR', 0, epochs // 20)
    assert (cosine.type, cosine.begin, cosine.end) == ('CosineAnnealingLR', epochs // 20, epochs)
    assert cosine.T_max == epochs - epochs // 20


@pytest.mark.parametrize(('data', 'size'), [('', 224), ('_cifar100', 32), ('_digits', 32)])
def test_the_tables_of_aa_are_for_the_maps_that_arrive(data, size):
    pytest.importorskip('mmpretrain.models')
    cfg = Config.fromfile(ROOT / f'configs/ean/resnet18_aa{data}.py')
    init_default_scope('mmpretrain')
    backbone = MODELS.build(cfg.model.backbone)
    assert backbone(torch.zeros(1, 3, size, size))[0].shape[:2] == (1, cfg.model.head.in_channels)


def test_asr_on_cifar100_is_trained_as_published():
    cfg = Config.fromfile(ROOT / 'configs/ean/resnet164_asr_se_cifar100.py')
    assert cfg.train_cfg.max_epochs == 164
    assert (cfg.param_scheduler.milestones, cfg.param_scheduler.gamma) == ([81, 122], 0.1)
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.model.backbone.sharing == 'block'
    assert cfg.model.backbone.attention == dict(
        type='ean_mm.ASR', attention=dict(type='ean_mm.SE', reduction=16), initial_value=0.1
    )


@pytest.mark.parametrize(
    ('name', 'codes', 'attention'),
    [
        ('sge', (4, 11, 19, 3), {'type': 'ean_mm.SGE', 'groups': 64}),
        ('dia', (6, 3, 50, 3), {'type': 'ean_mm.DIA', 'reduction': 20}),
    ],
)
def test_published_tickets_are_quoted(name, codes, attention):
    ticket = Ticket.load(ROOT / f'configs/ean/tickets/resnet50_{name}_quoted.json')
    assert ticket.origin == 'quoted'
    assert ticket.scheme.codes == codes
    assert ticket.scheme.sparsity == 0.4375
    assert ticket.metrics == {}
    assert ticket.attention == attention
    assert ticket.backbone == BackboneFingerprint(
        type='ResNet', depth=50, blocks_per_stage=(3, 4, 6, 3), channels=(256, 512, 1024, 2048)
    )

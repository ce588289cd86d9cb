"""The configs for ShanghaiTech: three stages of ResNet-50 at stride 8, ImageNet weights and tickets that fit them."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from mmengine.runner import Runner

from ean_mm.counting import DigitCrowds
from ean_mm.structures import ConnectionScheme, Ticket

CONFIGS = Path(__file__).parents[2] / 'configs' / 'ean'


def load(part, phase=''):
    return Config.fromfile(CONFIGS / f'counter_resnet50_se_{phase}shanghaitech_{part}.py')


@pytest.fixture(scope='module')
def model():
    pytest.importorskip('mmpretrain')
    init_default_scope('mmengine')
    torch.manual_seed(0)
    return MODELS.build(load('b').model).eval()


def test_images_of_any_size_give_densities_of_that_size_from_stride_eight(model):
    images = torch.randn(1, 3, 65, 90)
    with torch.no_grad():
        (features,) = model.backbone(images)
        density = model(images)
    assert features.shape == (1, 1024, 9, 12)
    assert density.shape == (1, 1, 65, 90)
    assert model.backbone.scheme == ConnectionScheme.all((3, 4, 6))


def test_imagenet_weights_with_all_four_stages_fit_and_change_nothing_at_first(model):
    models = pytest.importorskip('torchvision').models
    torch.manual_seed(1)
    weights = models.resnet50().state_dict()
    model.backbone.load_state_dict(dict(weights), strict=False)
    loaded = model.backbone.state_dict()
    shared = [key for key in weights if not key.startswith(('layer4.', 'fc.'))]
    assert all(torch.equal(loaded[key], weights[key]) for key in shared)
    images = torch.randn(1, 3, 32, 40)
    outputs = []
    for scheme in ('all', 'none'):
        model.backbone.set_scheme(scheme)
        with torch.no_grad():
            outputs.append(model.backbone(images)[0])
    model.backbone.set_scheme('all')
    assert outputs[0].abs().sum() > 0
    torch.testing.assert_close(outputs[0], outputs[1])


def test_a_ticket_and_weights_of_the_whole_network_are_cut_and_given_as_the_documentation_says(tmp_path):
    pytest.importorskip('mmpretrain')
    init_default_scope('mmengine')
    whole = MODELS.build(
        dict(
            type='ean_mm.EANBackbone',
            backbone=dict(type='mmpretrain.ResNet', depth=50),
            attention=dict(type='ean_mm.SE', reduction=16),
            scheme='100 1011 010011 011',
        )
    )
    weights = whole.state_dict()
    classifier = {f'backbone.{key}': value for key, value in weights.items()}
    torch.save({'state_dict': {**classifier, 'head.fc.weight': torch.zeros(2, 2)}}, tmp_path / 'epoch_120.pth')
    fields = dict(origin='given', scheme=whole.scheme, backbone=whole.fingerprint, attention=whole.attention_spec)
    ticket = Ticket(**fields, sharing='stage').adapt(blocks_per_stage=(3, 4, 6), rule='first_stages')
    ticket.save(tmp_path / 'three_stages.json')
    cfg = load('b', 'ticket_')
    options = {
        'ticket': str(tmp_path / 'three_stages.json'),
        'attention': None,
        'init_cfg.checkpoint': str(tmp_path / 'epoch_120.pth'),
        'init_cfg.prefix': 'backbone.',
    }
    cfg.merge_from_dict({f'model.backbone.{key}': value for key, value in options.items()})
    model = MODELS.build(cfg.model)
    model.init_weights()
    assert str(model.backbone.scheme) == '100 1011 010011'
    loaded = model.backbone.state_dict()
    assert {key for key in loaded if key.startswith('ean.')}
    assert all(torch.equal(value, weights[key]) for key, value in loaded.items())


@pytest.mark.parametrize('part', 'ab')
def test_a_search_holds_reward_images_out_and_its_ticket_trains_on_all(part):
    cfg, ticket = load(part), load(part, 'ticket_')
    inner = [cfg[f'{name}_dataloader'].dataset.dataset for name in ('train', 'val')] + [cfg.test_dataloader.dataset]
    of_ticket = [ticket[f'{name}_dataloader'].dataset for name in ('train', 'val', 'test')]
    for datasets, splits in ((inner, ['train', 'train', 'test']), (of_ticket, ['train', 'test', 'test'])):
        assert {dataset.data_root for dataset in datasets} == {f'data/ShanghaiTech/part_{part.upper()}'}
        assert [dataset.split for dataset in datasets] == splits
    assert inner[0].pipeline == of_ticket[0].pipeline == cfg.train_pipeline
    assert inner[1].pipeline == inner[2].pipeline == of_ticket[1].pipeline == of_ticket[2].pipeline == cfg.test_pipeline
    assert ticket.model.backbone.ticket == f'work_dirs/counter_resnet50_se_shanghaitech_{part}/ticket.json'
    assert Path(cfg.custom_hooks[1].retrain_config) == Path(ticket.filename)
    assert ticket.train_cfg.max_epochs == cfg.train_cfg.max_epochs == 500


@pytest.mark.parametrize('part', 'ab')
def test_the_recipe_is_the_quoted_one(part):
    cfg = load(part, 'ticket_')
    assert cfg.optim_wrapper == dict(optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-4))
    assert cfg.param_scheduler == dict(type='ExponentialLR', gamma=0.995, by_epoch=True)
    assert cfg.train_dataloader.batch_size == 6
    *_, pack = map(TRANSFORMS.build, cfg.train_pipeline)
    assert (pack.sigma, 2 * pack.radius + 1) == (4.0, 15)


def differing(one, other, path=''):
    """Where two configs differ, down to what is no dict."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return {path} if one != other else set()
    return {
        name for key in {**one, **other} for name in differing(one.get(key), other.get(key), f'{path}.{key}'.strip('.'))
    }


def test_both_parts_share_all_but_data_statistics_crop_and_what_a_person_is_worth():
    statistics = {'model.data_preprocessor.mean', 'model.data_preprocessor.std'}
    data = {
        'data_root',
        'train_pipeline',
        'train_dataloader.dataset.dataset.data_root',
        'train_dataloader.dataset.dataset.pipeline',
        'train_dataloader.dataset.num_images',
        'val_dataloader.dataset.dataset.data_root',
        'val_dataloader.dataset.num_images',
        'test_dataloader.dataset.data_root',
    }
    a, b = load('a').to_dict(), load('b').to_dict()
    assert differing(a, b) == {*statistics, *data, 'custom_hooks'}
    assert a['custom_hooks'][0] == b['custom_hooks'][0]
    assert differing(a['custom_hooks'][1], b['custom_hooks'][1]) == {'reward.sparsity_weight', 'retrain_config'}
    a, b = load('a', 'ticket_').to_dict(), load('b', 'ticket_').to_dict()
    data = {name.replace('dataset.dataset', 'dataset') for name in data if not name.endswith('num_images')}
    assert differing(a, b) == {*statistics, *data, 'model.backbone.ticket'}


def narrow(cfg, root, directory):
    """The config on 64 x 64 crowds in ShanghaiTech's layout, an eighth as wide, for one epoch."""
    cfg.work_dir = str(directory)
    cfg.log_level = 'WARNING'
    cfg.model.backbone.backbone.update(base_channels=8, stem_channels=8)
    cfg.model.backbone.attention.reduction = 4
    cfg.model.backbone.init_cfg = None
    cfg.model.head.update(in_channels=128, hidden_channels=16)
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        if 'num_images' in loader.dataset:
            loader.dataset.num_images = 4
        inner = loader.dataset.get('dataset', loader.dataset)
        inner.data_root = root
        for step in inner.pipeline:
            if 'height' in step:
                step.update(height=64, width=80)  # wider than the images
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    return cfg


@pytest.mark.slow
def test_search_and_retraining_run_on_images_in_the_published_layout(tmp_path):
    pytest.importorskip('mmpretrain')
    root = str(tmp_path / 'part_A')
    for split, num_scenes in (('train', 16), ('test', 3)):
        DigitCrowds(root, split, num_scenes=num_scenes, size=64, num_digits=(0, 8), digit_size=(10, 14))
    cfg = narrow(load('a'), root, tmp_path / 'search')
    cfg.custom_hooks[1].update(
        strategy=dict(type='ean_mm.RandomSearch', num_steps=2), num_calibration_images=3, min_connected=1
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert [len(loader.dataset) for loader in (runner.train_dataloader, runner.val_dataloader)] == [12, 4]
    ticket = Ticket.load(tmp_path / 'search/ticket.json')
    assert ticket.scheme.blocks_per_stage == (3, 4, 6)
    assert ticket.metrics.keys() == {'count/neg_mae', 'reward'}
    scored = [json.loads(line) for line in (tmp_path / 'search/search.jsonl').read_text().splitlines()]
    assert all(line['metric'] < 0 for line in scored)

    retrain = narrow(Config.fromfile(tmp_path / 'search/retrain.py'), root, tmp_path / 'retrain')
    trained = Runner.from_cfg(retrain)
    trained.train()
    assert trained.model.backbone.scheme == ticket.scheme
    assert [len(loader.dataset) for loader in (trained.train_dataloader, trained.val_dataloader)] == [16, 3]

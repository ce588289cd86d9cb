"""The configs for ShanghaiTech: three stages of ResNet-50 at stride 8, and ImageNet weights that fit them."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope

from ean_mm.structures import ConnectionScheme, Ticket

CONFIGS = Path(__file__).parents[2] / 'configs' / 'ean'
PARTS = {part: f'counter_resnet50_se_shanghaitech_{part}.py' for part in 'ab'}


@pytest.fixture(scope='module')
def model():
    pytest.importorskip('mmpretrain')
    init_default_scope('mmengine')
    torch.manual_seed(0)
    return MODELS.build(Config.fromfile(CONFIGS / PARTS['b']).model).eval()


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


def test_a_ticket_of_the_whole_network_is_cut_and_given_as_the_comment_says(tmp_path):
    pytest.importorskip('mmpretrain')
    whole = Ticket.load(CONFIGS / 'tickets' / 'resnet50_sge_quoted.json')
    whole.adapt(blocks_per_stage=(3, 4, 6), rule='first_stages').save(tmp_path / 'ticket.json')
    init_default_scope('mmengine')
    cfg = Config.fromfile(CONFIGS / PARTS['a']).model
    del cfg.backbone['attention'], cfg.backbone['sharing']
    cfg.backbone.ticket = str(tmp_path / 'ticket.json')
    model = MODELS.build(cfg)
    assert model.backbone.scheme.mask.tolist() == whole.scheme.mask.tolist()[:13]


@pytest.mark.parametrize('part', PARTS)
def test_both_parts_share_all_but_data_statistics_and_crop(part):
    cfg = Config.fromfile(CONFIGS / PARTS[part])
    loaders = [cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]
    assert {loader.dataset.data_root for loader in loaders} == {f'data/ShanghaiTech/part_{part.upper()}'}
    assert [loader.dataset.split for loader in loaders] == ['train', 'test', 'test']
    assert cfg.train_dataloader.dataset.pipeline == cfg.train_pipeline
    assert cfg.optim_wrapper == dict(optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-4))
    *_, pack = map(TRANSFORMS.build, cfg.train_pipeline)
    assert (pack.sigma, 2 * pack.radius + 1) == (4.0, 15)

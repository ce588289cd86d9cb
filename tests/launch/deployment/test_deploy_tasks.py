"""Segmentation and counting are deployed as classification is, and read by mmseg."""

import numpy as np
import pytest
import torch
from deployments import FEW, backbone_of, load, names
from mmengine.config import Config
from random_networks import ASR, NARROW, largest_error, save_model
from tiny_tasks import COUNTER, SEGMENTOR, load_tiny

from ean_mm.launch import DeployOptions, deploy

pytestmark = pytest.mark.usefixtures('hurried')

pytest.importorskip('mmseg.models')


def deploy_tiny(cfg, tmp_path, **options):
    trained = save_model(cfg, tmp_path / 'trained.pth')
    report = deploy(
        cfg, str(tmp_path / 'trained.pth'), DeployOptions(**{**FEW, 'num_calibration_images': 8, **options})
    )
    return report, trained, tmp_path / 'work/deployed'


def segment(config, weights, images):
    from mmseg.apis import inference_model, init_model

    model = init_model(str(config), str(weights), device='cpu')
    return model, [inference_model(model, image).seg_logits.data for image in images]


@pytest.mark.parametrize('attention', ['SE', 'ASR'])
def test_mmseg_reads_a_deployed_segmentor(tmp_path, attention):
    cfg = load_tiny(SEGMENTOR, tmp_path)
    if attention == 'ASR':  # on a backbone of mmseg: nothing of ours is left
        backbone = dict(type='mmseg.ResNetV1c', depth=18, norm_cfg=dict(type='SyncBN'), **NARROW)
        cfg.model.backbone = dict(type='ean_mm.EANBackbone', backbone=backbone, attention=ASR)
        cfg.model.decode_head.update(in_channels=64, in_index=3)
    report, _, folder = deploy_tiny(cfg, tmp_path)
    assert ('Needs:   no ean_mm' in report) == (attention == 'ASR')
    assert 'of the predictions equal' in report

    cfg.dump(str(tmp_path / 'trained.py'))
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    _, wanted = segment(tmp_path / 'trained.py', tmp_path / 'trained.pth', images)
    model, found = segment(folder / 'deployed.py', folder / 'deployed.pth', images)
    assert largest_error(found, wanted) <= 1e-4
    assert len(model.dataset_meta['classes']) == len(model.dataset_meta['palette']) == 11


def test_stripes_of_a_segmentor_are_chosen_by_miou(tmp_path):
    report, _, folder = deploy_tiny(load_tiny(SEGMENTOR, tmp_path), tmp_path, max_drop=100)
    assert 'Test:    mIoU' in report
    assert backbone_of(folder).type == 'ean_mm.ResNetCifar'
    assert 'gates.png' in names(folder)


@pytest.mark.parametrize('options', [{}, dict(max_drop=1000)], ids=['SE', 'stripes'])
def test_a_counter_is_deployed(tmp_path, options):
    cfg = load_tiny(COUNTER, tmp_path)
    report, trained, folder = deploy_tiny(cfg, tmp_path, **options)
    assert 'predictions' not in report
    assert 'Needs:   ean_mm, for ean_mm.' in report
    assert ('Test:    count/mae' in report) == bool(options)
    if not options:
        x = torch.randn(2, 3, 32, 48)
        with torch.no_grad():
            found, wanted = (model.eval()(x, mode='tensor') for model in (load(folder), trained))
        assert largest_error(found, wanted) <= 1e-4


def test_images_of_several_sizes(tmp_path):
    """As in data sets of photographs, whose test transforms keep the ratio of the sides."""
    cfg = load_tiny(SEGMENTOR, tmp_path)
    pad = dict(type='RandomResize', scale=(64, 64), ratio_range=(0.5, 1.0), keep_ratio=True)
    cfg.test_dataloader.dataset.pipeline.insert(1, pad)
    cfg.model.data_preprocessor.size = None
    cfg.model.data_preprocessor.test_cfg = dict(size_divisor=1)
    _, _, folder = deploy_tiny(cfg, tmp_path, formats=['pth', 'pt2'], num_images=12)
    results = Config.fromfile(folder / 'deployed.json')
    assert results.files['deployed.pth'].num_images == 12
    assert 1 <= results.files['deployed.pt2'].num_images < 12

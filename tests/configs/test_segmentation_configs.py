"""The segmentation configs train and validate on data in the formats that Cityscapes, ADE20K and VOC have on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from segmentation_data import NUM_CLASSES, shrink, write_data

from ean_mm.registry import DATASETS

pytest.importorskip('mmseg.models')

CONFIGS = Path(__file__).parents[2] / 'configs/ean'
HEADS = {'fcn': 'FCNHead', 'pspnet': 'PSPHead', 'deeplabv3plus': 'DepthwiseSeparableASPPHead', 'upernet': 'UPerHead'}
ITERATIONS = {'cityscapes': 80_000, 'ade20k': 160_000, 'voc12aug': 40_000}
NAMES = [f'{head}_resnet50_se_ticket_{data}' for head in HEADS for data in ITERATIONS]
FAST = 'fcn_resnet50_se_ticket_cityscapes'


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


@pytest.mark.parametrize('name', NAMES)
def test_the_recipe_is_the_usual_one(name):
    cfg, head, data = load(name), *(name.split('_')[at] for at in (0, -1))
    num_classes, max_iters = NUM_CLASSES[data], ITERATIONS[data]
    assert cfg.model.decode_head.type == HEADS[head]
    assert cfg.model.decode_head.num_classes == cfg.model.auxiliary_head.num_classes == num_classes
    assert cfg.train_cfg.max_iters == cfg.param_scheduler.end == max_iters
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == max_iters // 10
    assert cfg.auto_scale_lr.base_batch_size == 4 * cfg.train_dataloader.batch_size
    assert cfg.model.data_preprocessor.size == cfg.crop_size
    backbone = cfg.model.backbone.backbone
    assert (backbone.type, backbone.deep_stem) == ('mmseg.ResNet', False)
    assert backbone.dilations == ((1, 1, 1, 1) if head == 'upernet' else (1, 1, 2, 4))
    assert np.prod(backbone.strides) * 4 == (32 if head == 'upernet' else 8)


def test_ticket_and_weights_are_those_of_the_classification_configs():
    classifier = Config.fromfile(CONFIGS / 'resnet50_se_ticket.py')
    last = f'work_dirs/resnet50_se_ticket/epoch_{classifier.train_cfg.max_epochs}.pth'
    for name in NAMES:
        backbone = load(name).model.backbone
        assert backbone.ticket == classifier.model.backbone.ticket
        assert backbone.attention == classifier.model.backbone.attention
        assert backbone.sharing == classifier.model.backbone.sharing
        assert backbone.init_cfg == dict(type='Pretrained', checkpoint=last, prefix='backbone.')


@pytest.mark.parametrize('data', ITERATIONS)
def test_labels_arrive_as_they_are_on_disk(data, tmp_path):
    cfg = load(f'fcn_resnet50_se_ticket_{data}')
    written = write_data(data, tmp_path / 'data')
    cfg = shrink(cfg, tmp_path / 'data', tmp_path)
    init_default_scope('mmseg')
    train, val = (DATASETS.build(cfg[f'{name}_dataloader'].dataset) for name in ('train', 'val'))
    assert len(train) + len(val) == len(written)
    for index in range(len(val)):
        sample = val[index]['data_samples']
        labels = written[Path(sample.seg_map_path).name].astype(int)
        if data == 'ade20k':  # label 0 is no class there
            labels = np.where(labels == 0, 255, labels - 1)
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), labels)
    assert set(np.unique(train[0]['data_samples'].gt_sem_seg.data)) <= {*range(NUM_CLASSES[data]), 255}


@pytest.mark.parametrize('name', [pytest.param(n, marks=[] if n == FAST else pytest.mark.slow) for n in NAMES])
def test_two_iterations_and_a_validation(name, tmp_path):
    data = name.split('_')[-1]
    write_data(data, tmp_path / 'data')
    runner = Runner.from_cfg(shrink(load(name), tmp_path / 'data', tmp_path))
    before = {key: value.clone() for key, value in runner.model.named_parameters()}
    metrics = runner.train()
    assert runner.iter == 2
    still = [key for key, value in runner.model.named_parameters() if (value == before[key]).all()]
    assert still == []
    (scalars,) = (tmp_path / 'work').rglob('scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert 0 <= lines[-1]['mIoU'] <= 100, metrics
    assert (tmp_path / 'work/iter_2.pth').exists()

"""Faster R-CNN with a ticket trains and validates on data in COCO's format, where mmdet is installed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from segmentation_data import shrink, write_coco
from transfer_cases import train_classifier

CONFIGS = Path(__file__).parents[2] / 'configs/ean'
FROZEN = ('backbone.conv1.', 'backbone.bn1.', 'backbone.layer1.', 'backbone.ean.stage0.')


@pytest.mark.slow
def test_two_iterations_and_a_validation(tmp_path):
    pytest.importorskip('mmpretrain.models')
    pytest.importorskip('mmdet.models', reason='mmdet is not installed')
    pytest.importorskip('mmcv.ops', reason='mmcv has no compiled operators, which mmdet needs')
    write_coco(tmp_path / 'data')
    ticket, checkpoint = train_classifier(tmp_path)
    cfg = Config.fromfile(CONFIGS / 'faster_rcnn_resnet50_se_ticket_coco.py')
    init_cfg = dict(cfg.model.backbone.init_cfg, checkpoint=str(checkpoint))
    cfg = shrink(cfg, tmp_path / 'data', tmp_path)
    assert cfg.model.backbone.ticket == ticket
    cfg.model.backbone.init_cfg = init_cfg
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.ann_file = str(tmp_path / 'data/annotations/instances_val2017.json')
    cfg.param_scheduler = []  # the first steps of the warm-up are lost in rounding
    runner = Runner.from_cfg(cfg)
    trained = {n.replace('backbone.backbone', 'backbone'): p.requires_grad for n, p in runner.model.named_parameters()}
    assert trained == {name: not name.startswith(FROZEN) for name in trained}
    runner.train()
    assert runner.iter == 2
    weights = torch.load(checkpoint, weights_only=False)['state_dict']
    after = runner.model.state_dict()
    moved = [key for key in weights if key.startswith('backbone.') and not torch.equal(after[key], weights[key])]
    assert {key.split('.')[1] for key in moved} == {'layer2', 'layer3', 'layer4', 'ean'}
    assert not any(key.startswith(FROZEN) for key in moved)
    (scalars,) = (tmp_path / 'work').rglob('scalars.json')
    losses = [line['loss'] for line in map(json.loads, scalars.read_text().splitlines()) if 'loss' in line]
    assert len(losses) == 2
    assert np.isfinite(losses).all()

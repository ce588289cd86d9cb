"""Shared fixtures: a search small enough for a test, on real scans."""

import copy
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from tickets import make_ticket

from ean_mm.evaluation import save_supernet
from ean_mm.hooks.identity import training_identity
from ean_mm.hooks.retrain_config import write_retrain_config
from ean_mm.hooks.wrapped_backbone import find_backbone
from ean_mm.structures import ConnectionScheme

TICKET = '11 00 10'  # of finished_search
TINY = dict(
    default_scope='mmpretrain',
    model=dict(
        type='ImageClassifier',
        data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False),
        backbone=dict(
            type='ean_mm.EANBackbone',
            backbone=dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8),
            attention=dict(type='ean_mm.SE', reduction=2),
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=32, topk=(1,)),
    ),
    train_dataloader=dict(
        batch_size=20,
        num_workers=0,
        persistent_workers=False,
        dataset=dict(
            type='ean_mm.CuedDigits',
            split='train',
            num_scenes=60,
            pipeline=[dict(type='ean_mm.PixelNoise', std=0.1), dict(type='PackInputs')],
        ),
        sampler=dict(type='DefaultSampler', shuffle=True),
    ),
    val_dataloader=dict(
        batch_size=50,
        num_workers=0,
        persistent_workers=False,
        dataset=dict(
            type='ean_mm.CuedDigits',
            split='reward',
            num_scenes=100,
            pipeline=[dict(type='PackInputs')],
        ),
        sampler=dict(type='DefaultSampler', shuffle=False),
    ),
    val_evaluator=dict(type='Accuracy', topk=(1,)),
    test_dataloader=dict(
        batch_size=50,
        num_workers=0,
        persistent_workers=False,
        dataset=dict(
            type='ean_mm.CuedDigits',
            split='test',
            num_scenes=100,
            pipeline=[dict(type='PackInputs')],
        ),
        sampler=dict(type='DefaultSampler', shuffle=False),
    ),
    test_evaluator=dict(type='Accuracy', topk=(1,)),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4)),
    train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=2),
    val_cfg=dict(),
    test_cfg=dict(),
    custom_hooks=[
        dict(type='ean_mm.SupernetHook'),
        dict(
            type='ean_mm.SearchHook',
            strategy=dict(type='ean_mm.RandomSearch', num_steps=4),
            reward=dict(metric='accuracy/top1', sparsity_weight=1.0),
            num_calibration_images=40,
            calibration_batch_size=20,
            min_connected=1,
            verdict=False,
        ),
    ],
    default_hooks=dict(
        logger=dict(type='LoggerHook', interval=1),
        checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
    ),
    visualizer=dict(type='mmengine.Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
    log_level='WARNING',
    randomness=dict(seed=0),
)


@pytest.fixture(scope='session')
def tiny_fields():
    """What ``tiny_config`` is made of; to be copied."""
    return TINY


@pytest.fixture
def tiny_config(tmp_path):
    """A complete config: six blocks, sixty scenes, two epochs, twelve proposals."""
    pytest.importorskip('mmpretrain')
    # runners of one name and second would share their visualizer
    fields = {**copy.deepcopy(TINY), 'work_dir': str(tmp_path / 'work'), 'experiment_name': tmp_path.name}
    return Config(fields, format_python_code=False)  # laying its text out takes half a second, three times per runner


@pytest.fixture
def finished_search(tiny_config):
    """Config of a search whose work directory has its ticket, results, retrain config and an untrained supernet."""
    directory = Path(tiny_config.work_dir)
    cfg = copy.deepcopy(tiny_config)
    cfg.work_dir = str(directory / 'untrained')
    runner = Runner.from_cfg(cfg)
    backbone = find_backbone(runner.model)
    ticket = make_ticket(
        scheme=ConnectionScheme.from_string(TICKET),
        backbone=backbone.fingerprint,
        attention=backbone.attention_spec,
        sharing=backbone.sharing,
    )
    ticket.save(directory / 'ticket.json')
    save_supernet(directory / 'supernet.pth', runner.model.state_dict(), training_identity(tiny_config))
    rows = [dict(name=name, scheme=bits, metric=50.0) for name, bits in (('none', '00 00 00'), ('ticket', TICKET))]
    (directory / 'results.json').write_text(json.dumps(dict(metric='accuracy/top1', rows=rows)))
    write_retrain_config(tiny_config, None, directory)
    return tiny_config


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors are fastest on one thread, and sums come out the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

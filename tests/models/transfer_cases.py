"""A classifier trained as tools/train.py trains, narrow, and the segmentors that take its backbone over."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner
from segmentation_data import WIDTH, write_ticket

SE = dict(type='ean_mm.SE', reduction=4)


def backbone_of(package: str, ticket: str | None = None, **changes) -> dict:
    """A narrow ResNet-50 of one package with the ticket, or with attention everywhere."""
    inner = dict(type=f'{package}.ResNet', depth=50, base_channels=WIDTH, stem_channels=WIDTH)
    return dict(type='ean_mm.EANBackbone', backbone={**inner, **changes}, attention=SE, ticket=ticket)


def train_classifier(directory: Path) -> tuple[str, Path]:
    """Search nothing, train one epoch on cued digits; return the ticket's path and the checkpoint's."""
    ticket = write_ticket(backbone_of('mmpretrain'), directory)
    loader = dict(
        batch_size=20,
        num_workers=0,
        persistent_workers=False,
        dataset=dict(
            type='ean_mm.CuedDigits', split='train', num_scenes=40, pipeline=[dict(type='mmpretrain.PackInputs')]
        ),
        sampler=dict(type='DefaultSampler', shuffle=True),
    )
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=classifier_of(backbone_of('mmpretrain', ticket)),
            train_dataloader=loader,
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
            work_dir=str(directory / 'classifier'),
            log_level='WARNING',
        )
    )
    Runner.from_cfg(cfg).train()
    return ticket, directory / 'classifier/epoch_1.pth'


def classifier_of(backbone: dict) -> dict:
    return dict(
        type='ImageClassifier',
        data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3),
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=32 * WIDTH, topk=(1,)),
    )


def segmentor_of(backbone: dict) -> dict:
    return dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, size=(64, 64)),
        backbone=backbone,
        decode_head=dict(
            type='FCNHead',
            in_channels=32 * WIDTH,
            in_index=3,
            channels=16,
            num_convs=1,
            num_classes=4,
            norm_cfg=dict(type='BN'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )

"""Supernet and search of ResNet-50 with SE on ImageNet: 8 GPUs with 32 images each, data/imagenet/train and val."""

default_scope = 'mmpretrain'

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=1000,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type='ean_mm.EANBackbone',
        backbone=dict(type='mmpretrain.ResNet', depth=50),
        attention=dict(type='ean_mm.SE', reduction=16),
        sharing='stage',
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
    ),
)

data_root = 'data/imagenet'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=5,
    persistent_workers=True,
    dataset=dict(
        type='ean_mm.HoldOut',
        part='train',
        per_class=100,
        dataset=dict(type='ImageNet', data_root=data_root, split='train', pipeline=train_pipeline),
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=125,
    num_workers=5,
    persistent_workers=True,
    dataset=dict(
        type='ean_mm.HoldOut',
        part='reward',
        per_class=100,
        dataset=dict(type='ImageNet', data_root=data_root, split='train', pipeline=test_pipeline),
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_dataloader = dict(
    batch_size=125,
    num_workers=5,
    persistent_workers=True,
    dataset=dict(type='ImageNet', data_root=data_root, split='val', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[40], gamma=0.1)
train_cfg = dict(by_epoch=True, max_epochs=50, val_interval=50)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256)
find_unused_parameters = True

custom_hooks = [
    dict(type='ean_mm.SupernetHook', sampling='bernoulli'),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.PairSurrogate'),
        reward=dict(metric='accuracy/top1', sparsity_weight=2.0),
        num_calibration_images=4096,
        calibration_batch_size=128,
        retrain_config='{{ fileDirname }}/resnet50_se_ticket.py',
    ),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
randomness = dict(seed=0)

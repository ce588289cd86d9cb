"""Supernet and search of ResNet-164 with SE on CIFAR-100: one GPU with 128 images, data/cifar100."""

default_scope = 'mmpretrain'

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=100,
        mean=[125.307, 122.961, 113.8575],
        std=[51.0255, 50.847, 51.255],
        to_rgb=False,
    ),
    backbone=dict(
        type='ean_mm.EANBackbone',
        backbone=dict(type='ean_mm.ResNetCifar', depth=164, block='bottleneck'),
        attention=dict(type='ean_mm.SE', reduction=16),
        sharing='stage',
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=100, in_channels=256, topk=(1, 5)),
)

data_root = 'data/cifar100'
train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    dataset=dict(
        type='ean_mm.HoldOut',
        part='train',
        per_class=50,
        dataset=dict(type='CIFAR100', data_root=data_root, split='train', pipeline=train_pipeline),
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=2,
    persistent_workers=True,
    dataset=dict(
        type='ean_mm.HoldOut',
        part='reward',
        per_class=50,
        dataset=dict(type='CIFAR100', data_root=data_root, split='train', pipeline=test_pipeline),
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_dataloader = dict(
    batch_size=250,
    num_workers=2,
    persistent_workers=True,
    dataset=dict(type='CIFAR100', data_root=data_root, split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[60, 120], gamma=0.1)
train_cfg = dict(by_epoch=True, max_epochs=180, val_interval=60)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=128)
find_unused_parameters = True

custom_hooks = [
    dict(type='ean_mm.SupernetHook', sampling='bernoulli'),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.PairSurrogate'),
        reward=dict(metric='accuracy/top1', sparsity_weight=2.0),
        num_calibration_images=2000,
        calibration_batch_size=250,
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

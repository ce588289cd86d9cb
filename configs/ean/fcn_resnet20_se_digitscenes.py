"""Supernet and search of ResNet-20 with SE and an FCN head on digit scenes; needs no download, runs on a CPU in minutes."""

default_scope = 'mmseg'
custom_imports = dict(imports=['ean_mm'], allow_failed_imports=False)

model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[150.0, 112.0, 91.0],
        std=[73.0, 67.0, 73.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(64, 64),
        test_cfg=dict(size_divisor=4),
    ),
    backbone=dict(
        type='ean_mm.EANBackbone',
        backbone=dict(type='ean_mm.ResNetCifar', depth=20),
        attention=dict(type='ean_mm.SE', reduction=4, min_channels=4),
        sharing='stage',
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=64,
        in_index=0,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=11,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', class_weight=[0.2] + [1.0] * 10),  # five pixels in six are background
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

data_root = 'work_dirs/digit_scenes'
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
test_pipeline = train_pipeline
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='ean_mm.DigitScenes', data_root=data_root, split='train', num_scenes=4000, pipeline=train_pipeline
    ),
    sampler=dict(type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='ean_mm.DigitScenes', data_root=data_root, split='reward', num_scenes=400, pipeline=test_pipeline
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_dataloader = dict(
    batch_size=50,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type='ean_mm.DigitScenes', data_root=data_root, split='test', num_scenes=800, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_evaluator = val_evaluator

max_iters = 600
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=5e-3, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_iters - 50, by_epoch=False, begin=50, end=max_iters),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
find_unused_parameters = True

custom_hooks = [
    dict(type='ean_mm.SupernetHook', sampling='bernoulli'),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.PairSurrogate'),
        reward=dict(metric='mIoU', sparsity_weight=1.0),
        num_calibration_images=400,
        calibration_batch_size=100,
        max_schemes=30,
        min_connected=3,
    ),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=max_iters, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(by_epoch=False)
log_level = 'INFO'
randomness = dict(seed=0)

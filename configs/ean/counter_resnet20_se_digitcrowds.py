"""Supernet and search of a ResNet-20 counter with SE on crowds of digits; needs no download, runs on a CPU in minutes."""

default_scope = 'mmengine'

model = dict(
    type='ean_mm.Counter',
    data_preprocessor=dict(mean=[153.0, 108.0, 85.0], std=[71.0, 65.0, 70.0], bgr_to_rgb=True),
    backbone=dict(
        type='ean_mm.EANBackbone',
        backbone=dict(type='ean_mm.ResNetCifar', depth=20),
        attention=dict(type='ean_mm.SE', reduction=4, min_channels=4),
        sharing='stage',
    ),
    # The last stage has stride 4.
    head=dict(type='ean_mm.DensityHead', in_channels=64, hidden_channels=32, upsample=4),
)

data_root = 'work_dirs/digit_crowds'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ean_mm.CropWithPoints', height=64, width=64),
    dict(type='ean_mm.PackCountInputs', sigma=4.0),
]
# The density is for pictures of predictions; a score needs the count alone.
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='ean_mm.PackCountInputs', sigma=4.0)]
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='ean_mm.DigitCrowds',
        data_root=data_root,
        split='train',
        num_scenes=500,
        size=128,
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=25,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='ean_mm.DigitCrowds',
        data_root=data_root,
        split='reward',
        num_scenes=200,
        size=128,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='ean_mm.CountMetric')
test_dataloader = dict(
    batch_size=25,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='ean_mm.DigitCrowds',
        data_root=data_root,
        split='test',
        num_scenes=300,
        size=128,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_evaluator = val_evaluator

max_epochs = 30
optim_wrapper = dict(optimizer=dict(type='Adam', lr=3e-3, weight_decay=1e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict()
test_cfg = dict()
find_unused_parameters = True

custom_hooks = [
    dict(type='ean_mm.SupernetHook'),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.PairSurrogate'),
        # In people: connecting nothing may cost 0.3 in the mean absolute error.
        reward=dict(metric='count/neg_mae', sparsity_weight=0.3),
        num_calibration_images=100,
        calibration_batch_size=25,
        max_schemes=30,
        min_connected=3,
    ),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
randomness = dict(seed=0)

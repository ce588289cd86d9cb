"""Supernet and search of ResNet-20 with SE on cued digits; needs no download, runs on a CPU in minutes."""

default_scope = 'mmpretrain'

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(num_classes=10, mean=[44.7, 44.5, 31.0], std=[73.1, 72.8, 58.5], to_rgb=False),
    backbone=dict(
        type='ean_mm.EANBackbone',
        backbone=dict(type='ean_mm.ResNetCifar', depth=20),
        attention=dict(type='ean_mm.SE', reduction=4, min_channels=4),
        sharing='stage',
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=64, topk=(1,)),
)

train_pipeline = [dict(type='ean_mm.PixelNoise', std=0.15), dict(type='PackInputs')]
test_pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=50,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type='ean_mm.CuedDigits', split='train', num_scenes=50000, pipeline=train_pipeline),
    sampler=dict(type='ean_mm.EpochSlices', num_per_epoch=2000, seed=0),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type='ean_mm.CuedDigits', split='reward', num_scenes=2000, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='Accuracy', topk=(1,))
test_dataloader = dict(
    batch_size=250,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type='ean_mm.CuedDigits', split='test', num_scenes=4000, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_evaluator = val_evaluator

max_epochs = 35
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict()
test_cfg = dict()
find_unused_parameters = True

custom_hooks = [
    dict(type='ean_mm.SupernetHook', sampling='bernoulli'),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.PairSurrogate'),
        reward=dict(metric='accuracy/top1', sparsity_weight=1.0),
        num_calibration_images=1000,
        calibration_batch_size=250,
        max_schemes=30,
        min_connected=3,
        retrain_config='{{ fileDirname }}/resnet20_se_ticket_digits.py',
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
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
randomness = dict(seed=0)

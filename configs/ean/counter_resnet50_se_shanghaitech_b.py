"""Supernet and search of a ResNet-50 counter with SE on ShanghaiTech B: one GPU with 6 crops, data/ShanghaiTech/part_B.

Network, loss, densities, crops, optimiser and schedule are quoted from the C^3 framework's ResNet-50 on this part. Our choices:
dilated convolutions in the last stage, where that network only has stride 1; 500 epochs, of which the last one counts;
attention; 80 training images, at random, as reward images.
"""

default_scope = 'mmengine'

model = dict(
    type='ean_mm.Counter',
    # Mean and deviation of the training images, quoted.
    data_preprocessor=dict(mean=[115.26, 114.05, 110.16], std=[59.27, 57.36, 56.57], bgr_to_rgb=True),
    # Three stages: 13 sites.
    backbone=dict(
        type='ean_mm.EANBackbone',
        backbone=dict(
            type='mmpretrain.ResNet',
            depth=50,
            num_stages=3,
            strides=(1, 2, 1),
            dilations=(1, 1, 2),
            out_indices=(2,),
        ),
        attention=dict(type='ean_mm.SE', reduction=16, gate_init='identity'),
        sharing='stage',
        # Weights that were trained without attention; 'identity' above lets them start as they are.
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
        allow_missing=[r'layer4\.'],
    ),
    head=dict(type='ean_mm.DensityHead', in_channels=1024, hidden_channels=128, upsample=8, scale=100.0),
)

data_root = 'data/ShanghaiTech/part_B'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ean_mm.CropWithPoints', height=576, width=768),
    dict(type='ean_mm.FlipWithPoints', prob=0.5),
    dict(type='ean_mm.PackCountInputs', sigma=4.0, radius=7),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='ean_mm.PackCountInputs', sigma=None)]
train_dataloader = dict(
    batch_size=6,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    dataset=dict(
        type='ean_mm.HoldOut',
        part='train',
        num_images=80,
        order='seeded',
        dataset=dict(type='ean_mm.CrowdDataset', data_root=data_root, split='train', pipeline=train_pipeline),
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(
        type='ean_mm.HoldOut',
        part='reward',
        num_images=80,
        order='seeded',
        dataset=dict(type='ean_mm.CrowdDataset', data_root=data_root, split='train', pipeline=test_pipeline),
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='ean_mm.CountMetric')
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(type='ean_mm.CrowdDataset', data_root=data_root, split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-4))
param_scheduler = dict(type='ExponentialLR', gamma=0.995, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=500, val_interval=500)
val_cfg = dict()
test_cfg = dict()
find_unused_parameters = True

custom_hooks = [
    dict(type='ean_mm.SupernetHook'),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.PairSurrogate'),
        # In people: connecting nothing may cost half a person in the mean absolute error.
        reward=dict(metric='count/neg_mae', sparsity_weight=0.5),
        num_calibration_images=80,
        calibration_batch_size=1,  # images of part A differ in size, and what fills up a batch would be measured as well
        retrain_config='{{ fileDirname }}/counter_resnet50_se_ticket_shanghaitech_b.py',
    ),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=10, max_keep_ckpts=2),
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

"""Train a ResNet-50 counter with SE on ShanghaiTech B: one GPU with 6 crops, data/ShanghaiTech/part_B.

Network, loss, densities, crops, optimiser and schedule are quoted from the C^3 framework's ResNet-50 on this part (MAE 7.7,
RMSE 12.6 without attention, at its best epoch on the test set). Our choices: dilated convolutions in the last stage, where
that network only has stride 1; 500 epochs, of which the last one counts; attention, all connected.
"""

default_scope = 'mmengine'

model = dict(
    type='ean_mm.Counter',
    # Mean and deviation of the training images, quoted.
    data_preprocessor=dict(mean=[115.26, 114.05, 110.16], std=[59.27, 57.36, 56.57], bgr_to_rgb=True),
    # All 13 sites are connected. To train a ticket, write `ticket='<path>'` in place of `attention` and `sharing`, which it
    # holds itself. A ticket of the whole ResNet-50 is first cut to the three stages that are here, and saved:
    #     Ticket.load('work_dirs/resnet50_se/ticket.json').adapt(blocks_per_stage=(3, 4, 6), rule='first_stages')
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
    dataset=dict(type='ean_mm.CrowdDataset', data_root=data_root, split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(type='ean_mm.CrowdDataset', data_root=data_root, split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='ean_mm.CountMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-4))
param_scheduler = dict(type='ExponentialLR', gamma=0.995, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=500, val_interval=10)
val_cfg = dict()
test_cfg = dict()
custom_hooks = []
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

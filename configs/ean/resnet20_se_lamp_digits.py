"""Supernet and search of a narrow ResNet-20 with SE on lamp digits: attention is needed, and can mislead; minutes on a CPU."""

_base_ = './resnet20_se_digits.py'

model = dict(
    data_preprocessor=dict(num_classes=4, mean=[41.3, 41.3, 37.5], std=[79.1, 79.1, 74.8]),
    backbone=dict(backbone=dict(block='bottleneck', base_channels=8), attention=dict(min_channels=8)),
    head=dict(num_classes=4, in_channels=128),
)

# Noise wherever the network looks: without it the dark ground of a test image is another than that of all training
# images, and batch norm makes much of that.
train_pipeline = [dict(type='ean_mm.PixelNoise', std=0.05), dict(type='PackInputs')]
test_pipeline = [dict(type='ean_mm.PixelNoise', std=0.05, seed=0), dict(type='PackInputs')]
train_dataloader = dict(batch_size=25, dataset=dict(type='ean_mm.LampDigits', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='ean_mm.LampDigits', pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(type='ean_mm.LampDigits', pipeline=test_pipeline))

max_epochs = 30
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=0.003, weight_decay=0.05))
param_scheduler = dict(T_max=max_epochs)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
custom_hooks = [
    dict(type='ean_mm.SupernetHook', sampling='bernoulli'),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.PairSurrogate'),
        reward=dict(metric='accuracy/top1', sparsity_weight=12.0),  # a connection has to be worth two points
        num_calibration_images=1000,
        calibration_batch_size=250,
        max_schemes=30,
        min_connected=1,
        retrain_config='{{ fileDirname }}/resnet20_se_ticket_lamp_digits.py',
    ),
]

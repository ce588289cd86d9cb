"""Supernet and search of a narrow ResNet-14 with SE on plain digits, where attention makes no difference; a minute on a CPU."""

_base_ = './resnet20_se_digits.py'

model = dict(backbone=dict(backbone=dict(depth=14, base_channels=8)), head=dict(in_channels=32))

halved = dict(type='Resize', scale=(16, 16), interpolation='area')
train_pipeline = [halved, dict(type='ean_mm.PixelNoise', std=0.05), dict(type='PackInputs')]
test_pipeline = [halved, dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(max_digits=1, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(max_digits=1, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(max_digits=1, pipeline=test_pipeline))

max_epochs = 15
param_scheduler = dict(T_max=max_epochs)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
custom_hooks = [
    dict(type='ean_mm.SupernetHook', sampling='bernoulli'),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.Reinforce', num_steps=60),
        reward=dict(metric='accuracy/top1', sparsity_weight=1.0),
        num_calibration_images=1000,
        calibration_batch_size=250,
        max_schemes=30,
        min_connected=2,
    ),
]

"""Train FCN on ResNet-20 with the SE ticket of resnet20_se_digits.py on digit scenes, from that supernet's weights."""

_base_ = './fcn_resnet20_se_digitscenes.py'

model = dict(
    backbone=dict(
        ticket='work_dirs/resnet20_se_digits/ticket.json',
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/resnet20_se_digits/supernet.pth', prefix='backbone.'),
    )
)

max_iters = 400
val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
val_evaluator = _base_.test_evaluator
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_iters - 50, by_epoch=False, begin=50, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
find_unused_parameters = False
custom_hooks = [dict(type='ean_mm.PlainCheckpointHook')]

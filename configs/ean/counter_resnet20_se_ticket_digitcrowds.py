"""Train a ResNet-20 counter with the SE ticket of resnet20_se_digits.py on crowds of digits, from that supernet's weights."""

_base_ = './counter_resnet20_se_digitcrowds.py'

model = dict(
    backbone=dict(
        ticket='work_dirs/resnet20_se_digits/ticket.json',
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/resnet20_se_digits/supernet.pth', prefix='backbone.'),
    )
)

max_epochs = 10
val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
val_evaluator = _base_.test_evaluator
param_scheduler = dict(T_max=max_epochs)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
find_unused_parameters = False
custom_hooks = [dict(type='ean_mm.PlainCheckpointHook')]

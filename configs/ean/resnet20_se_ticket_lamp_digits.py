"""Train the narrow ResNet-20 with the SE ticket of resnet20_se_lamp_digits.py from scratch on lamp digits."""

_base_ = './resnet20_se_lamp_digits.py'

model = dict(backbone=dict(ticket='work_dirs/resnet20_se_lamp_digits/ticket.json'))

max_epochs = 20
val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
val_evaluator = _base_.test_evaluator
param_scheduler = dict(T_max=max_epochs)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
find_unused_parameters = False
custom_hooks = []

"""Train the narrow ResNet-20 with the SE ticket of resnet20_se_lamp_digits.py from scratch on lamp digits."""

_base_ = './resnet20_se_lamp_digits.py'

model = dict(backbone=dict(ticket='work_dirs/resnet20_se_lamp_digits/ticket.json'))

val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
val_evaluator = _base_.test_evaluator
find_unused_parameters = False
custom_hooks = []

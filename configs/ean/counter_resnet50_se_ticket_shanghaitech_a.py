"""Train a ResNet-50 counter with the ticket of counter_resnet50_se_shanghaitech_a.py on all of ShanghaiTech A's train_data."""

_base_ = './counter_resnet50_se_shanghaitech_a.py'

model = dict(backbone=dict(ticket='work_dirs/counter_resnet50_se_shanghaitech_a/ticket.json'))

train_dataloader = dict(dataset=dict(_delete_=True, **_base_.train_dataloader.dataset.dataset))
val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
val_evaluator = _base_.test_evaluator
train_cfg = dict(val_interval=10)
find_unused_parameters = False
custom_hooks = []

"""Train ResNet-50 with the SE ticket of resnet50_se.py from scratch on all of ImageNet, 120 epochs."""

_base_ = './resnet50_se.py'

model = dict(backbone=dict(ticket='work_dirs/resnet50_se/ticket.json'))

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageNet',
        data_root=_base_.data_root,
        split='train',
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
val_evaluator = _base_.test_evaluator
param_scheduler = dict(milestones=[30, 60, 90])
train_cfg = dict(max_epochs=120, val_interval=1)
find_unused_parameters = False
custom_hooks = []

"""Train a ResNet-50 counter with the ticket of counter_resnet50_se_shanghaitech_b.py on all of ShanghaiTech B's train_data.

Network, loss, densities, crops, optimiser and schedule are those of the C^3 framework's ResNet-50 but for the choices that the
search's config names; that network, without attention, counts with MAE 7.7 and RMSE 12.6 at its best epoch on the test set
(quoted).
"""

_base_ = './counter_resnet50_se_shanghaitech_b.py'

model = dict(backbone=dict(ticket='work_dirs/counter_resnet50_se_shanghaitech_b/ticket.json'))

train_dataloader = dict(dataset=dict(_delete_=True, **_base_.train_dataloader.dataset.dataset))
val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
val_evaluator = _base_.test_evaluator
train_cfg = dict(val_interval=10)
find_unused_parameters = False
custom_hooks = []

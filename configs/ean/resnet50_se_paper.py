"""Supernet and search of ResNet-50 with SE as published (arXiv:2011.14058): the 40th epoch, scored without recalibration.

The published supernet trained 50 epochs and searched the weights of the 40th, before the learning rate drops; training 40
gives the same weights.
"""

_base_ = './resnet50_se.py'

train_cfg = dict(max_epochs=40, val_interval=40)
custom_hooks = [
    dict(type='ean_mm.SupernetHook', sampling='bernoulli', seed=666),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.Reinforce', preset='paper'),
        reward=dict(metric='accuracy/top1', sparsity_weight=2.0, offset=-54.0),
        num_calibration_images=0,
        min_connected=0,
        seed=666,
        retrain_config='{{ fileDirname }}/resnet50_se_ticket.py',
    ),
]

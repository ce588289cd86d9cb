"""Supernet and search of an FCN on Cityscapes: which blocks of ResNet-50 get efficient attention; 4 GPUs with 2 images each.

The supernet is trained on 2,675 of the 2,975 training images, and schemes are scored on the other 300, our choice.
"""

_base_ = [
    './_base_/models/fcn_resnet50_se_ticket.py',
    './_base_/datasets/cityscapes.py',
    './_base_/schedules/sgd_80k.py',
    './_base_/mmseg_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        attention=dict(_delete_=True, type='ean_mm.EfficientAttention', gate_init='identity'),
        ticket=None,
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)

train_dataloader = dict(
    dataset=dict(
        _delete_=True, type='ean_mm.HoldOut', part='train', num_images=300, dataset=_base_.train_dataloader.dataset
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ean_mm.HoldOut',
        part='reward',
        num_images=300,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=_base_.test_pipeline),
    )
)
find_unused_parameters = True

custom_hooks = [
    dict(type='ean_mm.SupernetHook', sampling='bernoulli'),
    dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.PairSurrogate'),
        reward=dict(metric='mIoU', sparsity_weight=2.0),
        num_calibration_images=1000,
        calibration_batch_size=4,
        max_schemes=200,
        retrain_config='{{ fileDirname }}/fcn_resnet50_efficient_stages34_cityscapes.py',
    ),
]

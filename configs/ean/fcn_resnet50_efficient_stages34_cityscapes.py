"""FCN on Cityscapes, 80k iterations, 4 x 2 images: efficient attention in all blocks of stages 3 and 4, on ImageNet weights."""

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
        scheme='000 0000 111111 111',
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)

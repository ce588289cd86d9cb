"""UPerNet: pyramid pooling and a feature pyramid over all four stages, which are not dilated."""

_base_ = './segmentor_resnet50_se_ticket.py'

model = dict(
    backbone=dict(backbone=dict(strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1))),
    decode_head=dict(
        type='UPerHead',
        in_channels=[256, 512, 1024, 2048],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=512,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
)

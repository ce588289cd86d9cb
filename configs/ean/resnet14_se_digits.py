"""Train the ResNet-14 of resnet14_digits.py with SE at every block, by the same recipe."""

_base_ = './resnet14_digits.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ean_mm.EANBackbone',
        backbone=_base_.model.backbone,
        attention=dict(type='ean_mm.SE', reduction=4, min_channels=4),
        sharing='block',
    )
)

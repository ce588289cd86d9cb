"""Train the ResNet-18 of resnet18_digits.py with attention-augmented convolutions in stages 3 and 4, by the same recipe."""

_base_ = './resnet18_digits.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ean_mm.AugmentedBackbone',
        backbone=_base_.model.backbone,
        conv=dict(type='ean_mm.AAConv2d', num_heads=4, feature_size={64: 8, 128: 4}),
        scheme='00 00 11 11',
    )
)

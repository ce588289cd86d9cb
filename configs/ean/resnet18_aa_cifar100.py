"""Train the ResNet-18 of resnet18_cifar100.py with attention-augmented convolutions in stages 2 to 4, by the same recipe."""

_base_ = './resnet18_cifar100.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ean_mm.AugmentedBackbone',
        backbone=_base_.model.backbone,
        conv=dict(type='ean_mm.AAConv2d', num_heads=8, feature_size={128: 16, 256: 8, 512: 4}),
        scheme='00 11 11 11',
    )
)

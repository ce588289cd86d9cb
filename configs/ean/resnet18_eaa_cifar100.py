"""Train the ResNet-18 of resnet18_cifar100.py with convolutions augmented by efficient attention in stages 2 to 4."""

_base_ = './resnet18_cifar100.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ean_mm.AugmentedBackbone',
        backbone=_base_.model.backbone,
        conv=dict(type='ean_mm.EAAConv2d', num_heads=8),
        scheme='00 11 11 11',
    )
)

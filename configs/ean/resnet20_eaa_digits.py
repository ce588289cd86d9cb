"""Supernet and search of ResNet-20 on cued digits: which convolutions efficient attention should augment; runs on a CPU."""

_base_ = './resnet20_se_digits.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ean_mm.AugmentedBackbone',
        backbone=dict(type='ean_mm.ResNetCifar', depth=20),
        conv=dict(type='ean_mm.EAAConv2d', num_heads=4),
    )
)

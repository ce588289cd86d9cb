"""Train a plain ResNet-18 of width 16 (8 blocks) on cued digits with the learning rate of AA-Net; runs on a CPU in minutes."""

_base_ = './resnet14_digits.py'

model = dict(
    backbone=dict(num_stages=4, strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1), out_indices=(3,)),
    head=dict(in_channels=128),
)

# arXiv:1904.09925 as replicated: 0.2 * batch / 256, reached linearly in the first twentieth, then a cosine.
optim_wrapper = dict(optimizer=dict(lr=0.2 * 50 / 256, nesterov=False))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=38, by_epoch=True, begin=2, end=40, convert_to_iter_based=True),
]

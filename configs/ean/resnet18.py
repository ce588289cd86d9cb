"""Train a plain ResNet-18 on ImageNet with the learning rate of AA-Net, 100 epochs: 8 GPUs with 32 images each."""

_base_ = './resnet50_asr_se.py'

model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.ResNet', depth=18),
    head=dict(in_channels=512),
)

# arXiv:1904.09925 as replicated: 0.2 * batch / 256, reached linearly in the first twentieth, then a cosine. Epochs and weight
# decay are our choice.
max_epochs = 100
optim_wrapper = dict(optimizer=dict(lr=0.2))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=95, by_epoch=True, begin=5, end=100, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)

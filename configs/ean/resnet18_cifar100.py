"""Train a plain ResNet-18 on CIFAR-100 with the learning rate of AA-Net, 200 epochs: one GPU with 128 images, data/cifar100."""

_base_ = './resnet164_asr_se_cifar100.py'

model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.ResNet_CIFAR', depth=18),
    head=dict(in_channels=512),
)

# arXiv:1904.09925 as replicated: 0.2 * batch / 256, reached linearly in the first twentieth, then a cosine. Epochs and weight
# decay are our choice.
max_epochs = 200
optim_wrapper = dict(optimizer=dict(lr=0.2 * 128 / 256, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=190, by_epoch=True, begin=10, end=200, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)

"""Supernet and search of a ResNet-50 counter with SE on ShanghaiTech A: one GPU with 6 crops, data/ShanghaiTech/part_A.

As part B, but for mean and deviation, quoted from the C^3 framework's settings of this part, and for our choices: the crops
(images of this part differ in size and are taken as they are; what is smaller than a crop is filled up), 60 reward images, and
a reward that gives more people for sparsity, because there are more of them in an image.
"""

_base_ = './counter_resnet50_se_shanghaitech_b.py'

model = dict(data_preprocessor=dict(mean=[104.76, 94.51, 91.72], std=[71.04, 68.66, 69.25]))

data_root = 'data/ShanghaiTech/part_A'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ean_mm.CropWithPoints', height=384, width=384),
    dict(type='ean_mm.FlipWithPoints', prob=0.5),
    dict(type='ean_mm.PackCountInputs', sigma=4.0, radius=7),
]
train_dataloader = dict(dataset=dict(num_images=60, dataset=dict(data_root=data_root, pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(num_images=60, dataset=dict(data_root=data_root)))
test_dataloader = dict(dataset=dict(data_root=data_root))

custom_hooks = [
    _base_.custom_hooks[0],
    dict(
        _base_.custom_hooks[1],
        reward=dict(metric='count/neg_mae', sparsity_weight=2.0),
        retrain_config='{{ fileDirname }}/counter_resnet50_se_ticket_shanghaitech_a.py',
    ),
]

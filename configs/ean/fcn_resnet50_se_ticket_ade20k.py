"""FCN on ADE20K, 160k iterations, 4 x 4 images: ticket of resnet50_se.py, weights of resnet50_se_ticket.py."""

_base_ = [
    './_base_/models/fcn_resnet50_se_ticket.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/sgd_160k.py',
    './_base_/mmseg_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
    auxiliary_head=dict(num_classes=_base_.num_classes),
)

"""Train ResNet-50 with the published SGE ticket from scratch on all of ImageNet, 120 epochs."""

_base_ = './resnet50_se_ticket.py'

model = dict(
    backbone=dict(
        attention=dict(_delete_=True, type='ean_mm.SGE', groups=64),
        ticket='{{ fileDirname }}/tickets/resnet50_sge_quoted.json',
    )
)

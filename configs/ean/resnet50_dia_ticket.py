"""Train ResNet-50 with the published DIA ticket from scratch on all of ImageNet, 120 epochs."""

_base_ = './resnet50_se_ticket.py'

model = dict(
    backbone=dict(
        attention=dict(_delete_=True, type='ean_mm.DIA', reduction=20),
        ticket='{{ fileDirname }}/tickets/resnet50_dia_quoted.json',
    )
)

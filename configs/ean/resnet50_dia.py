"""Supernet and search of ResNet-50 with DIA on ImageNet."""

_base_ = './resnet50_se.py'

model = dict(backbone=dict(attention=dict(_delete_=True, type='ean_mm.DIA', reduction=20)))

"""Supernet and search of ResNet-50 with SGE on ImageNet."""

_base_ = './resnet50_se.py'

model = dict(backbone=dict(attention=dict(_delete_=True, type='ean_mm.SGE', groups=64)))

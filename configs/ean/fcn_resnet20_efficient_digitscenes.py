"""Supernet and search of ResNet-20 with efficient attention and an FCN head on digit scenes; runs on a CPU in minutes."""

_base_ = './fcn_resnet20_se_digitscenes.py'

model = dict(backbone=dict(attention=dict(_delete_=True, type='ean_mm.EfficientAttention', gate_init='identity')))

"""The wrapped backbone, found in configs and models wherever it stands."""

import pytest
from mmengine.config import Config
from torch import nn

from ean_mm.hooks.wrapped_backbone import find_backbone, find_backbone_config, type_name
from ean_mm.models import EANBackbone

WRAPPED = dict(type='ean_mm.EANBackbone', backbone=dict(type='ean_mm.ResNetCifar', depth=8))


@pytest.mark.parametrize(
    'model',
    [
        WRAPPED,
        dict(type='EncoderDecoder', backbone=WRAPPED, decode_head=dict(type='FCNHead')),
        dict(type='Teacher', student=dict(type='X', backbone=WRAPPED)),
        dict(type='Fused', branches=[dict(type='ResNet'), dict(backbone=WRAPPED)]),
        dict(type='Fused', branches=(dict(backbone=WRAPPED),)),
    ],
)
def test_it_is_found_to_be_changed(model):
    cfg = Config(dict(model=model))
    find_backbone_config(cfg.model)['scheme'] = 'none'
    assert find_backbone_config(cfg.model) == {**WRAPPED, 'scheme': 'none'}
    assert str(cfg.model).count('none') == 1


@pytest.mark.parametrize(
    'kind', ['EANBackbone', 'ean_mm.EANBackbone', 'ean_mm.models.backbone.EANBackbone', EANBackbone]
)
def test_a_type_is_a_name_or_a_class(kind):
    backbone = {**WRAPPED, 'type': kind}
    assert type_name(backbone) == 'EANBackbone'
    assert find_backbone_config(dict(type='X', backbone=backbone)) is backbone


@pytest.mark.parametrize(('kind', 'shown'), [('mmseg.EncoderDecoder', 'EncoderDecoder'), (nn.Identity, 'Identity')])
def test_a_config_without_one(kind, shown):
    model = dict(type=kind, backbone=dict(type='MyEANBackbone'))
    with pytest.raises(
        ValueError, match=rf"must contain a backbone of type 'ean_mm.EANBackbone', but got '{shown}' with"
    ):
        find_backbone_config(model)


def test_a_model_has_exactly_one():
    one = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=8), attention=dict(type='ean_mm.SE'))
    assert find_backbone(nn.Sequential(nn.Identity(), nn.ModuleList([one]))) is one
    other = EANBackbone(dict(type='ean_mm.ResNetCifar', depth=8), attention=dict(type='ean_mm.SE'))
    for model, number in ((nn.Sequential(), 0), (nn.Sequential(one, other), 2)):
        with pytest.raises(ValueError, match=f"must contain one ean_mm.EANBackbone, but got {number} in 'Sequential'"):
            find_backbone(model)

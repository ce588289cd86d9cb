"""The other way round: attention of this package in the ``plugins`` of mmseg's backbones."""

import pytest
import torch

from ean_mm.registry import MODELS

PLUGINS = {
    'se': dict(type='ean_mm.SE', reduction=4),
    'sge': dict(type='ean_mm.SGE', groups=4),
    'dia': dict(type='ean_mm.DIA', reduction=2),
    'efficient': dict(type='ean_mm.EfficientAttention', num_heads=2),
    'timm': dict(type='ean_mm.TimmAttention', name='eca'),
    'mmcv': dict(type='ean_mm.PluginLayer', cfg=dict(type='mmcv.NonLocal2d')),
}
OWN = ('se', 'sge', 'dia', 'efficient')
BLOCKS_WITH_PLUGIN = 4 + 6 + 3


@pytest.fixture(autouse=True)
def _mmseg():
    pytest.importorskip('mmseg.models')


def build_resnet(cfg=None, position='after_conv3', init_cfg=None):
    torch.manual_seed(0)
    plugins = [dict(cfg=dict(cfg), stages=(False, True, True, True), position=position)] if cfg else None
    resnet = MODELS.build(
        dict(
            type='mmseg.ResNet',
            depth=50,
            base_channels=8,
            plugins=plugins,
            zero_init_residual=False,  # attention on a branch of zeros would show nothing
            init_cfg=init_cfg,
        )
    )
    resnet.init_weights()
    return resnet


@pytest.mark.parametrize('position', ['after_conv1', 'after_conv3'])
@pytest.mark.parametrize('name', PLUGINS)
def test_a_plugin_is_called_once_in_each_of_its_blocks(name, position):
    if name == 'timm':
        pytest.importorskip('timm')
    cfg = PLUGINS[name]
    resnet = build_resnet(cfg, position)
    attentions = [module for module in resnet.modules() if type(module) is MODELS.get(cfg['type'])]
    assert len(attentions) == BLOCKS_WITH_PLUGIN
    calls = []
    for attention in attentions:
        attention.register_forward_hook(lambda module, inputs, y: calls.append((module, inputs[0], y)))
    features = resnet(torch.randn(2, 3, 64, 64))
    assert [id(module) for module, _, _ in calls] == [id(attention) for attention in attentions]
    assert all(x.shape == y.shape for _, x, y in calls)
    sum(feature.square().sum() for feature in features).backward()
    unused = [key for attention in attentions for key, p in attention.named_parameters() if p.grad is None]
    assert unused == []


@pytest.mark.parametrize('name', OWN)
def test_an_identity_start_outlives_the_backbones_initialisation(name):
    """The backbone's own ``init_cfg`` (Kaiming for every convolution) runs over the plugins as well."""
    init_cfg = [
        dict(type='Kaiming', layer=['Conv2d', 'Linear']),
        dict(type='Constant', val=1, layer=['_BatchNorm', 'SGE']),
    ]
    plain = build_resnet(init_cfg=init_cfg)
    resnet = build_resnet({**PLUGINS[name], 'gate_init': 'identity'}, init_cfg=init_cfg)
    missing, unexpected = resnet.load_state_dict(plain.state_dict(), strict=False)
    assert missing
    assert not unexpected
    x = torch.randn(2, 3, 64, 64)
    for network in (plain, resnet):
        network.eval()
    assert all(torch.equal(*pair) for pair in zip(resnet(x), plain(x), strict=True))


@pytest.mark.parametrize('name', OWN)
def test_the_start_of_the_paper_is_no_identity_there(name):
    plain, resnet = build_resnet(), build_resnet(PLUGINS[name])
    resnet.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 3, 64, 64)
    assert not torch.equal(resnet(x)[-1], plain(x)[-1])

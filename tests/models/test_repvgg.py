"""Blocks of parallel branches: attention acts on their sum, and outlives their own re-parameterisation."""

import copy

import pytest
import torch
from torch import nn

from ean_mm.models import EANBackbone

pytest.importorskip('mmpretrain.models')

SE = dict(type='ean_mm.SE', reduction=2)
ASR = dict(type='ean_mm.ASR', attention=SE)
_STAGES = dict(num_blocks=[1, 2], width_factor=[1, 1])
REPVGG = dict(
    type='mmpretrain.RepVGG',
    arch=dict(**_STAGES, group_layer_map=None, se_cfg=None),
    base_channels=8,
    strides=(2, 2),
    dilations=(1, 1),
    out_indices=(0, 1),
)
WITH_SE = dict(REPVGG, arch=dict(REPVGG['arch'], se_cfg=dict(ratio=4, divisor=1)))
MOBILE_ONE = dict(
    type='mmpretrain.MobileOne',
    arch=dict(
        num_blocks=[1, 1, 1, 1], width_factor=[0.25] * 4, num_conv_branches=[2, 1, 2, 1], num_se_blocks=[0, 0, 1, 1]
    ),
    out_indices=(0, 3),
)
BACKBONES = {'repvgg': REPVGG, 'repvgg with se': WITH_SE, 'mobileone': MOBILE_ONE}


@pytest.fixture(params=BACKBONES)
def backbone(request):
    return BACKBONES[request.param]


def build(backbone, attention=SE, **arguments):
    """In float64, with statistics and weights that matter."""
    torch.manual_seed(0)
    net = EANBackbone(backbone, attention, **arguments).double()
    for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
        if tensor.dim() == 1:
            nn.init.uniform_(tensor, 0.5, 1.5) if name.endswith(('weight', 'var')) else nn.init.normal_(tensor, std=0.3)
    return net.eval()


def image():
    return torch.randn(2, 3, 32, 32, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def test_attention_acts_on_the_sum_of_the_branches():
    net = build(REPVGG)
    assert net.blocks_per_stage == (1, 1, 2)  # the stem is a block like the others
    block = net.backbone.stage_2[1]
    x = torch.randn(2, 16, 8, 8, dtype=torch.double)
    branches = block.branch_3x3(x) + block.branch_1x1(x) + block.branch_norm(x)
    torch.testing.assert_close(block(x), torch.relu(net.ean['stage2'](branches)))


def test_its_own_se_comes_first():
    net = build(WITH_SE)
    block = net.backbone.stage_2[0]
    x = torch.randn(2, 8, 8, 8, dtype=torch.double)
    branches = block.branch_3x3(x) + block.branch_1x1(x)
    torch.testing.assert_close(block(x), torch.relu(net.ean['stage2'](block.se_layer(branches))))


def test_mobileone_has_a_site_in_both_of_its_halves():
    net = build(MOBILE_ONE)
    halves = [(site.block.groups > 1, site.channels) for site in net.sites]
    assert halves[:3] == [(False, 16), (True, 16), (False, 16)]  # stem, then depthwise and pointwise
    assert net.num_connections == 1 + 2 * 4


def test_a_constant_gate_folds_into_the_norms_of_the_branches():
    net = build(REPVGG, ASR, sharing='block')
    expected = net(image())
    with torch.no_grad():
        for site, slot in zip(net.sites, net.slots, strict=True):
            v = slot.attention.attention.constant_gate()
            norms = (site.block.branch_3x3.norm, site.block.branch_1x1.norm, site.block.branch_norm)
            for norm in filter(None, norms):
                norm.weight *= v
                norm.bias *= v
    net.set_scheme('none')
    for found, wanted in zip(net(image()), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


# not with an SE of RepVGG's own, which mmpretrain leaves out after the switch, wrapped or not
@pytest.mark.parametrize('attention', [SE, ASR, dict(type='ean_mm.DIA', reduction=2)])
@pytest.mark.parametrize('name', ['repvgg', 'mobileone'])
def test_its_own_switch_merges_the_branches_and_leaves_the_attention(name, attention):
    net = build(BACKBONES[name], attention)
    switched = copy.deepcopy(net)
    switched.switch_to_deploy()
    assert not any('branch_1x1' in key or 'branch_scale' in key for key in switched.state_dict())
    assert [key for key in net.state_dict() if 'ean.' in key] == [key for key in switched.state_dict() if 'ean.' in key]
    for scheme in ('all', 'none'):
        for each in (net, switched):
            each.set_scheme(scheme)
        with torch.no_grad():
            for found, wanted in zip(switched(image()), net(image()), strict=True):
                torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_what_it_leaves_loads_into_a_network_built_for_deployment(backbone):
    net = build(backbone)
    net.switch_to_deploy()
    other = EANBackbone({**backbone, 'deploy': True}, SE).double().eval()
    assert other.fingerprint == net.fingerprint
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert all(torch.equal(*pair) for pair in zip(other(image()), net(image()), strict=True))


def test_recomputed_branches_have_the_same_gradients():
    gradients = []
    for with_cp in (False, True):
        net = build({**REPVGG, 'with_cp': with_cp}).train()
        sum(out.square().mean() for out in net(image().requires_grad_())).backward()
        gradients.append([parameter.grad for parameter in net.parameters()])
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)

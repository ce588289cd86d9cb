"""Sites of backbones, and how to teach another kind of block."""

import pytest
import torch
from torch import nn

from ean_mm.models import EANBackbone, ResNetCifar, find_sites
from ean_mm.registry import MODELS


class Gated(nn.Module):
    """A residual block that no library knows, with an end that has no name of its own."""

    def __init__(self, channels, is_residual=True):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(2, channels))
        self.drop = nn.Identity()
        self.is_residual = is_residual

    @property
    def last(self):
        return self.body[1]

    def forward(self, x):
        branch = self.drop(self.body(x))
        return x + branch if self.is_residual else branch


class BasicBlock(nn.Module):
    """The name of a known block without what MM's has."""


class HRModule(nn.Module):
    """A container whose siblings continue the same stages."""

    def __init__(self, *widths):
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(Gated(width), Gated(width)) for width in widths)


@pytest.fixture
def my_net():
    """A registered backbone of unknown blocks."""

    @MODELS.register_module()
    class MyNet(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.Sequential(Gated(4), Gated(4)))

    yield 'ean_mm.MyNet'
    MODELS.module_dict.pop('MyNet')


def places(sites):
    return [(site.stage, site.index, site.slot, site.channels) for site in sites]


def test_sites_are_in_order():
    assert places(find_sites(ResNetCifar(depth=14))) == [
        (0, 0, 'bn2', 16),
        (0, 1, 'bn2', 16),
        (1, 0, 'bn2', 32),
        (1, 1, 'bn2', 32),
        (2, 0, 'bn2', 64),
        (2, 1, 'bn2', 64),
    ]


class TestAnotherBlock:
    net = nn.Sequential(nn.Sequential(Gated(4), Gated(4)), nn.Sequential(Gated(4)))

    def test_is_named_when_it_is_unknown(self):
        with pytest.raises(
            ValueError,
            match=r'of a known kind \(.*ConvNeXtBlock.*\), but got \'Sequential\', built of Gated; '
            r"if one of them ends in a map .*residual_blocks=dict\(Gated=dict\(after='...'\)\)",
        ):
            find_sites(self.net)

    @pytest.mark.parametrize('name', ['Gated', f'{Gated.__module__}.Gated'])
    @pytest.mark.parametrize('after', ['last', 'body.1', ('none', 'last')])
    def test_is_taught_by_one_row(self, name, after):
        sites = find_sites(self.net, {name: dict(after=after)})
        assert places(sites) == [(0, 0, 'body.1', 4), (0, 1, 'body.1', 4), (1, 0, 'body.1', 4)]
        assert sites[0].child is self.net[0][0].last

    def test_is_taught_for_one_backbone_only(self):
        find_sites(self.net, dict(Gated=dict(after='last')))
        with pytest.raises(ValueError, match='of a known kind'):
            find_sites(self.net)

    def test_may_end_before_a_child(self):
        sites = find_sites(self.net, dict(Gated=dict(before='drop', width='last')))
        assert all(site.comes_first for site in sites)
        assert places(sites)[0] == (0, 0, 'drop', 4)

    def test_has_a_shortcut_only_where_it_says_so(self):
        net = nn.Sequential(Gated(4), Gated(4, is_residual=False), Gated(4))
        sites = find_sites(net, dict(Gated=dict(after='last', when='is_residual')))
        assert [site.block for site in sites] == [net[0], net[2]]

    def test_is_taught_in_a_config(self, my_net):
        net = EANBackbone(
            dict(type=my_net),
            attention=dict(type='ean_mm.SE', reduction=2),
            residual_blocks=dict(Gated=dict(before='drop', width='last')),
        )
        assert net.blocks_per_stage == (2,)
        x = torch.randn(2, 3, 5, 5)
        first, second = net.backbone[1]
        stem = net.backbone[0](x)
        attention = net.ean['stage0']
        middle = stem + attention(first.body(stem))
        torch.testing.assert_close(net(x), middle + attention(second.body(middle)))

    def test_wins_over_the_table(self):
        sites = find_sites(ResNetCifar(depth=14), dict(BasicBlock=dict(after='conv2')))
        assert {site.slot for site in sites} == {'conv2'}


class TestStages:
    def test_widths_in_one_parent_are_stages(self):
        sites = find_sites(nn.Sequential(nn.Sequential(Gated(4), Gated(6), Gated(6))), dict(Gated=dict(after='last')))
        assert places(sites) == [(0, 0, 'body.1', 4), (1, 0, 'body.1', 6), (1, 1, 'body.1', 6)]

    def test_a_branch_goes_on_in_the_next_module(self):
        net = nn.Sequential(nn.Sequential(HRModule(4, 8), HRModule(4, 8)), nn.Sequential(HRModule(4)))
        sites = find_sites(net, dict(Gated=dict(after='last')))
        assert [(site.stage, site.index, site.channels) for site in sites] == [
            *[(0, index, 4) for index in range(4)],
            *[(1, index, 8) for index in range(4)],
            *[(2, index, 4) for index in range(2)],
        ]


class TestRefusals:
    def test_a_block_that_only_has_the_name(self):
        with pytest.raises(
            ValueError,
            match=r"built as their row of residual_blocks says, but got a 'BasicBlock' of '.*' which does not fit "
            r"ResidualBlock\(after='norm2'.*residual_blocks=dict\(BasicBlock=dict\(after='...'\)\)",
        ):
            find_sites(nn.Sequential(nn.Sequential(BasicBlock())))

    def test_a_backbone_without_blocks(self):
        with pytest.raises(ValueError, match="but got 'Sequential', which repeats no block"):
            find_sites(nn.Sequential(nn.Conv2d(3, 4, 3)))

    @pytest.mark.parametrize('row', ['bn2', dict(end='bn2'), None])
    def test_a_row_that_is_no_dict_of_fields(self, row):
        with pytest.raises(
            ValueError, match=r'must give a dict with fields among after, before, when, width per block'
        ):
            find_sites(ResNetCifar(depth=14), dict(MyBlock=row))

    @pytest.mark.parametrize('row', [dict(), dict(after='bn2', before='drop'), dict(when='residual')])
    def test_a_row_without_one_end(self, row):
        with pytest.raises(ValueError, match='must say either what the attention comes after or what it comes before'):
            find_sites(ResNetCifar(depth=14), dict(MyBlock=row))

    def test_a_row_without_a_width(self):
        with pytest.raises(ValueError, match="must name a module as wide as the branch beside 'before'"):
            find_sites(ResNetCifar(depth=14), dict(MyBlock=dict(before='drop')))

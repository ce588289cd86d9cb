"""Sites of backbones, and how to teach another kind of block."""

import pytest
from torch import nn

from ean_mm.models import ResNetCifar, find_sites, register_residual_block
from ean_mm.models.sites import _KINDS


class Gated(nn.Module):
    """A residual block that no library knows."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.GroupNorm(2, channels)

    def forward(self, x):
        return x + self.last(self.conv(x))


class BasicBlock(nn.Module):
    """The name of a known block without what MM's has."""


@pytest.fixture
def kinds(monkeypatch):
    for name in list(_KINDS):
        monkeypatch.setitem(_KINDS, name, _KINDS[name])
    yield
    _KINDS.pop('Gated', None)


def test_sites_are_in_forward_order():
    sites = find_sites(ResNetCifar(depth=14))
    assert [(site.stage, site.index, site.slot, site.channels) for site in sites] == [
        (0, 0, 'bn2', 16),
        (0, 1, 'bn2', 16),
        (1, 0, 'bn2', 32),
        (1, 1, 'bn2', 32),
        (2, 0, 'bn2', 64),
        (2, 1, 'bn2', 64),
    ]


def test_another_block_can_be_taught(kinds):
    net = nn.Sequential(nn.Sequential(Gated(4), Gated(4)), nn.Sequential(Gated(4)))
    with pytest.raises(ValueError, match=r"must have residual blocks .* but got 'Sequential'; .* teaches it"):
        find_sites(net)
    register_residual_block('Gated', slot=lambda block: 'last')
    sites = find_sites(net)
    assert [(site.stage, site.index, site.channels) for site in sites] == [(0, 0, 4), (0, 1, 4), (1, 0, 4)]


def test_stages_of_mixed_width_are_refused(kinds):
    register_residual_block('Gated', slot=lambda block: 'last')
    with pytest.raises(ValueError, match=r'must keep one width per stage, but got \[4, 6\] in stage 0'):
        find_sites(nn.Sequential(nn.Sequential(Gated(4), Gated(6))))


def test_a_block_that_only_has_the_name_is_refused():
    with pytest.raises(ValueError, match=r"must be built of MM residual blocks, but got a 'BasicBlock' of"):
        find_sites(nn.Sequential(nn.Sequential(BasicBlock())))

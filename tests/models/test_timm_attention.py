"""Modules of timm as attention: which there are, what they read, and what is refused."""

import re

import pytest
import torch
from torch import nn

from ean_mm.models import TimmAttention
from ean_mm.models.attentions.timm_attention import _GATES, NAMES


@pytest.fixture
def get_attn():
    pytest.importorskip('timm')
    from timm.layers import get_attn

    return get_attn


def test_the_table_of_names_is_the_factorys(get_attn):
    """The names stand in the factory's code as constants; what is no name there, it refuses."""
    constants = [value for value in get_attn.__code__.co_consts if isinstance(value, str) and value.isidentifier()]
    assert sorted(constants) == sorted(NAMES)
    assert all(get_attn(name) is not None for name in NAMES)


def test_it_is_timms_module(get_attn):
    torch.manual_seed(0)
    expected = get_attn('cbam')(16, rd_ratio=0.25).eval()
    module = TimmAttention(16, name='cbam', rd_ratio=0.25).eval()
    module.layer.load_state_dict(expected.state_dict())
    x = torch.randn(2, 16, 5, 5)
    assert torch.equal(module(x), expected(x))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(name='ecaa'), "but got 'ecaa'; did you mean 'eca' or 'ecam' or 'ceca'?"),
        (
            dict(name='zzzzzzzz'),
            "`name` must be one of timm's attention modules, but got 'zzzzzzzz'; it has se, ese, eca,",
        ),
        (dict(name=None), "`name` must be one of timm's attention modules, but got None;"),
        (dict(name='se', reduction=4), "`reduction` must be an argument of timm's 'se' (rd_ratio, "),
        (dict(name='se', channels=4), "`channels` must be an argument of timm's 'se' (rd_ratio, "),
        (
            dict(name='ese', rd_ratio=0.5),
            "`rd_ratio` must be an argument of timm's 'ese' (add_maxpool, gate_layer, device, dtype), but got 0.5.",
        ),
        (
            dict(name='splat', colour=3),
            "`arguments` must be what timm's 'splat' is built with, but got {'colour': 3}; timm answers TypeError(",
        ),
        (
            dict(name='bottleneck'),
            "`arguments` must be what timm's 'bottleneck' is built with, but got {}; timm answers AssertionError('A concrete",
        ),
        (dict(name='lambda', num_heads=3), "with, but got {'num_heads': 3}; timm answers AssertionError("),
        (dict(name='lambda', num_heads=0), "with, but got {'num_heads': 0}; timm answers ZeroDivisionError("),
        (
            dict(name='halo', stride=2),
            "`arguments` must give a layer that keeps the shape of its input, but got {'name': 'halo', 'stride': 2}, with "
            'which (2, 16, 56, 56) becomes (2, 16, 28, 28).',
        ),
        (dict(name='sk', out_channels=32), 'with which (2, 16, 56, 56) becomes (2, 32, 56, 56).'),
        (dict(name='bottleneck', feat_size=6, stride=2), 'with which (2, 16, 6, 6) becomes (2, 16, 3, 3).'),
        (dict(name='halo', feat_size=(1, 2, 3), stride=3), 'timm answers AssertionError('),
        (dict(name='eca', in_channels=0), '`in_channels` must be a whole number of at least 1, but got 0'),
    ],
)
def test_what_timm_cannot_use_is_named(get_attn, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TimmAttention(**{'in_channels': 16, **arguments})


@pytest.mark.parametrize(
    ('arguments', 'reads'),
    [
        (dict(name='se', rd_ratio=0.5, gate_layer='hard_sigmoid'), 'mean'),
        (dict(name='se', norm_layer=nn.BatchNorm2d), 'map'),  # in training its images meet
        (dict(name='se', add_maxpool=True), 'map'),
        (dict(name='ese', add_maxpool=True), 'map'),
        (dict(name='SE'), 'mean'),
        (dict(name='eca', act_layer=nn.ReLU, use_mlp=True), 'mean'),
        (dict(name='gc'), 'map'),
        (dict(name='cbam'), 'map'),
    ],
)
def test_it_finds_out_what_timms_module_reads(get_attn, arguments, reads):
    module = TimmAttention(16, **arguments).double()
    assert module.reads == reads
    if reads == 'mean':
        x = torch.randn(3, 16, 4, 6, dtype=torch.double)
        gate = module.gate_from_mean(x.mean((2, 3)))
        torch.testing.assert_close(module(x), x * gate[:, :, None, None], rtol=1e-12, atol=0)


@pytest.mark.parametrize('other', [lambda layer, mean: mean.sigmoid(), lambda layer, mean: layer.linear(mean)])
def test_another_timm_may_do_something_else(get_attn, monkeypatch, other):
    monkeypatch.setitem(_GATES, 'eca', other)
    assert TimmAttention(16, 'eca').reads == 'map'


@pytest.mark.parametrize('name', ['se', 'eca', 'cbam'])
def test_finding_it_out_draws_no_random_number_and_changes_nothing(get_attn, name):
    torch.manual_seed(0)
    expected, state = get_attn(name)(16).state_dict(), torch.get_rng_state()
    torch.manual_seed(0)
    module = TimmAttention(16, name)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(expected[key], value) for key, value in module.layer.state_dict().items())


def test_a_module_without_values_is_not_looked_into(get_attn):
    with torch.device('meta'):
        assert TimmAttention(16, 'se').reads == 'map'


@pytest.mark.parametrize('size', [(4, 6), [4, 6], 4])
def test_a_feature_size_binds_it(get_attn, size):
    module = TimmAttention(16, name='bottleneck', feat_size=size)
    assert module.bound_to == f'one feature size {size}'
    assert TimmAttention(16, name='eca').bound_to == ''

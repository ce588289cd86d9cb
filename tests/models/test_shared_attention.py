import logging

import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn

from ean_mm.models import SharedAttention
from ean_mm.models.attentions import AttentionModule
from ean_mm.models.shared_attention import _warn_of_mixed_statistics


class Bound(AttentionModule):
    bound_to = 'one feature size (14, 14)'

    def forward(self, x):
        return x


class Normed(AttentionModule):
    def __init__(self, in_channels, norm=nn.BatchNorm2d):
        super().__init__(in_channels)
        self.norm = norm(in_channels)

    def forward(self, x):
        return self.norm(x)


def test_call_sites_share_one_set_of_weights():
    shared = SharedAttention(attention=dict(type='ean_mm.SE', reduction=4), in_channels=8, num_sites=3)
    x = torch.randn(2, 8, 4, 4)
    y, carry = shared.step(x, None)
    assert carry is None
    assert torch.equal(y, shared(x))
    assert torch.equal(y, shared.attention(x))


def test_a_recurrent_attention_hands_its_state_on():
    shared = SharedAttention(attention=dict(type='ean_mm.DIA'), in_channels=8, num_sites=2)
    x = torch.randn(2, 8, 4, 4)
    first, carry = shared.step(x, None)
    second, _ = shared.step(x, carry)
    assert shared.has_carry
    assert torch.equal(first, shared(x))
    assert not torch.equal(first, second)


def test_what_cannot_be_shared_serves_one_site():
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(SharedAttention(dict(type=Bound), 8)(x), x)
    with pytest.raises(
        ValueError,
        match=r"`sharing` must be 'block' with .*Bound.*, which is bound to one feature size \(14, 14\), "
        'but got one module for 3 sites',
    ):
        SharedAttention(dict(type=Bound), 8, num_sites=3)


def test_an_attention_of_one_feature_size_is_not_shared():
    pytest.importorskip('timm')
    cfg = dict(type='ean_mm.TimmAttention', name='bottleneck', feat_size=(4, 4))
    SharedAttention(cfg, 8)
    with pytest.raises(
        ValueError, match=r'with ean_mm.TimmAttention, which is bound to one feature size \(4, 4\), but'
    ):
        SharedAttention(cfg, 8, num_sites=2)


@pytest.mark.parametrize('value', [0, True, 2.0])
def test_a_number_of_sites_is_a_whole_number(value):
    with pytest.raises(ValueError, match=f'`num_sites` must be a whole number of at least 1, but got {value!r}'):
        SharedAttention(dict(type='ean_mm.SE'), 8, num_sites=value)


@pytest.fixture
def warnings_logged():
    """The warnings in the current log while a test runs."""
    records = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    _warn_of_mixed_statistics.cache_clear()
    yield records
    logger.removeHandler(handler)


def test_mixed_statistics_of_batch_norm_are_told_once(warnings_logged):
    for num_sites in (3, 4, 6, 3):  # the stages of one network
        SharedAttention(dict(type=Normed), 8, num_sites=num_sites)
    assert len(warnings_logged) == 1
    assert 'its statistics mix the features of all of them' in warnings_logged[0].getMessage()
    SharedAttention(dict(type=Normed, norm=nn.SyncBatchNorm), 8, num_sites=2)
    assert len(warnings_logged) == 2


def test_nothing_is_told_where_nothing_mixes(warnings_logged):
    SharedAttention(dict(type=Normed), 8)
    SharedAttention(dict(type=Normed, norm=nn.InstanceNorm2d), 8, num_sites=2)
    SharedAttention(dict(type='ean_mm.SE'), 8, num_sites=2)
    assert warnings_logged == []

import torch

from ean_mm.models import SharedAttention


def test_call_sites_share_one_set_of_weights():
    shared = SharedAttention(attention=dict(type='ean_mm.SE', reduction=4), in_channels=8)
    x = torch.randn(2, 8, 4, 4)
    y, carry = shared.step(x, None)
    assert carry is None
    assert torch.equal(y, shared(x))
    assert torch.equal(y, shared.attention(x))


def test_a_recurrent_attention_hands_its_state_on():
    shared = SharedAttention(attention=dict(type='ean_mm.DIA'), in_channels=8)
    x = torch.randn(2, 8, 4, 4)
    first, carry = shared.step(x, None)
    second, _ = shared.step(x, carry)
    assert shared.has_carry
    assert torch.equal(first, shared(x))
    assert not torch.equal(first, second)

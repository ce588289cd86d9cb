"""The convolution augmented by efficient attention against its formula; what it shares with AA is tested there."""

import pytest
import torch
from augmented_convs import build_conv, draw, head_parts, project
from torch import nn

from ean_mm.analysis import count_work
from ean_mm.models import AAConv2d, EAAConv2d


def attend_by_maps(attention, image):
    """The n x n map of each head, rho_q(Q) rho_k(K)^T, on its values."""
    heads = [q.softmax(1) @ k.softmax(0).T @ v for q, k, v in head_parts(attention, image)]
    return project(attention, heads, image)


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('size', [(3, 4), (1, 1), (5, 2)])
def test_one_layer_equals_its_formula_at_any_size(size, bias):
    conv = build_conv(EAAConv2d, 5, 12, 3, upsilon=0.5, kappa=0.5, bias=bias)
    x = draw(2, 5, *size)
    plain = nn.functional.conv2d(x, conv.conv.weight, conv.conv.bias, padding=1)
    attended = torch.stack([attend_by_maps(conv.attention, image) for image in x])
    torch.testing.assert_close(conv(x), torch.cat((plain, attended), 1), rtol=1e-12, atol=1e-12)


def test_gradients_agree_with_finite_differences():
    conv = build_conv(EAAConv2d, 2, 8, 3)
    names, values = zip(*conv.named_parameters(), strict=True)

    def call(x, *parameters):
        return torch.func.functional_call(conv, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (draw(2, 2, 2, 3).requires_grad_(), *values))


def test_parameters_and_work_are_those_of_the_docstring():
    """F_in 6, F_out 16, k = 2 heads of 5, v = 4, 3 x 5 positions."""
    conv = build_conv(EAAConv2d, 6, 16, 3, min_key_channels_per_head=5)
    assert (conv.key_channels, conv.value_channels) == (10, 4)
    weights = 9 * 6 * 12 + 6 * 24 + 4 * 4
    assert sum(p.numel() for p in conv.parameters()) == weights + 16 + 20 + 4
    work = count_work(lambda: conv(draw(1, 6, 3, 5)))
    assert work.macs == 15 * weights + 2 * 15 * 10 * 4 // 2
    assert work.elementwise == 2 * 15 * 10


def test_it_has_the_parameters_of_aa_without_relative_terms():
    conv = build_conv(EAAConv2d, 6, 16, 3)
    other = build_conv(AAConv2d, 6, 16, 3, position='none')
    other.load_state_dict(conv.state_dict())
    x = draw(1, 6, 4, 4)
    assert torch.equal(conv(x)[:, :12], other(x)[:, :12])
    assert not torch.allclose(conv(x)[:, 12:], other(x)[:, 12:])


def test_no_tensor_is_as_large_as_the_map_of_pairs():
    largest = 0

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            largest = max(largest, out.numel()) if isinstance(out, torch.Tensor) else largest
            return out

    conv = build_conv(EAAConv2d, 8, 8, 3)
    with Largest():
        conv(draw(1, 8, 12, 12))
    assert largest == 144 * (2 * 4 + 2)

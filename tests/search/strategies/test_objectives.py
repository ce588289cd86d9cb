import math

import pytest
import torch

from ean_mm.search.strategies.objectives import (
    clipped_ratio_loss,
    detached_ratio_loss,
    policy_gradient_loss,
)

# advantage, ratio, weight of log pi in the published replay, weight of the advantage in the
# clipped objective, whether the clipped objective still learns
CASES = [
    (1.0, 2.0, 2.0, 1.1, False),
    (1.0, 0.5, 0.9, 0.5, True),
    (-1.0, 2.0, 1.1, 2.0, True),
    (-1.0, 0.5, 0.5, 0.9, False),
]


def one_bit(ratio):
    """Log-probability now and then of a single bit whose probability is 0.4 now."""
    new = torch.tensor([[math.log(0.4)]], dtype=torch.float64, requires_grad=True)
    return new, torch.tensor([[math.log(0.4 / ratio)]], dtype=torch.float64)


@pytest.mark.parametrize(('advantage', 'ratio', 'published', 'clipped', 'learns'), CASES)
def test_weights_of_a_single_term(advantage, ratio, published, clipped, learns):
    advantages = torch.tensor([advantage], dtype=torch.float64)

    new, old = one_bit(ratio)
    loss = detached_ratio_loss(new, old, advantages, 0.1)
    loss.backward()
    assert -loss.item() == pytest.approx(published * advantage * math.log(0.4))
    assert -new.grad.item() == pytest.approx(published * advantage)

    new, old = one_bit(ratio)
    loss = clipped_ratio_loss(new, old, advantages, 0.1)
    loss.backward()
    assert -loss.item() == pytest.approx(clipped * advantage)
    assert -new.grad.item() == pytest.approx(clipped * advantage if learns else 0)


def random_case(num_samples=5, num_bits=4, drift=0.3):
    generator = torch.Generator().manual_seed(0)
    old = torch.rand(num_samples, num_bits, generator=generator, dtype=torch.float64).log()
    shift = torch.randn(num_samples, num_bits, generator=generator, dtype=torch.float64)
    advantages = torch.randn(num_samples, generator=generator, dtype=torch.float64)
    return (old + drift * shift).requires_grad_(), old, advantages


def test_policy_gradient_sums_over_bits_and_averages_over_schemes():
    log_probs = torch.tensor([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]])
    advantages = torch.tensor([1.0, -1.0, 2.0])
    assert policy_gradient_loss(log_probs, advantages).item() == pytest.approx((3 - 7 + 22) / 3)


def test_published_minimum_is_taken_of_two_totals():
    new, old, advantages = random_case()
    plain = clipped = each = 0.0
    for n in range(5):
        for b in range(4):
            term = (new[n, b] * advantages[n]).item() / 5
            ratio = math.exp((new[n, b] - old[n, b]).item())
            bounded = min(max(ratio, 0.9), 1.1)
            plain, clipped = plain + ratio * term, clipped + bounded * term
            each += min(ratio * term, bounded * term)
    loss = detached_ratio_loss(new, old, advantages, 0.1).item()
    assert -loss == pytest.approx(min(plain, clipped), rel=1e-12)
    assert abs(-loss - each) > 0.01


def test_clipped_minimum_is_taken_of_each_term():
    new, old, advantages = random_case()
    total = 0.0
    for n in range(5):
        for b in range(4):
            ratio = math.exp((new[n, b] - old[n, b]).item())
            bounded = min(max(ratio, 0.9), 1.1)
            total += min(ratio * advantages[n].item(), bounded * advantages[n].item()) / 5
    loss = clipped_ratio_loss(new, old, advantages, 0.1)
    assert -loss.item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize('objective', [clipped_ratio_loss, detached_ratio_loss])
def test_before_the_policy_has_moved_replay_is_the_policy_gradient(objective):
    new, old, advantages = random_case(drift=0.0)
    replayed = torch.autograd.grad(objective(new, old, advantages, 0.1), new)[0]
    expected = torch.autograd.grad(policy_gradient_loss(new, advantages), new)[0]
    torch.testing.assert_close(replayed, expected, rtol=1e-12, atol=1e-14)

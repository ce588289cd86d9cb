import math

import numpy as np
import pytest
import torch

from ean_mm.search import Policy
from ean_mm.search.strategies.objectives import policy_gradient_loss

ALL_3_BIT_MASKS = torch.tensor([[i >> b & 1 for b in (2, 1, 0)] for i in range(8)]).bool()


def make_policy(num_connections, hidden_width, temperature, seed=0):
    """A policy away from its symmetric start."""
    generator = torch.Generator().manual_seed(seed)
    policy = Policy(num_connections, generator, hidden_width, temperature)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.7 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return policy


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_number_of_parameters():
    assert count(Policy(16, torch.Generator(), hidden_width=50)) == 2682
    assert count(Policy(16, torch.Generator(), hidden_width=0)) == 32


def test_network_has_the_published_shape():
    policy = Policy(16, torch.Generator(), hidden_width=50, temperature=5.0)
    shapes = [tuple(parameter.shape) for parameter in policy.parameters()]
    assert shapes == [(50, 20), (50,), (32, 50), (32,)]


def test_probabilities_start_near_a_half():
    for seed in range(20):
        policy = Policy(16, torch.Generator().manual_seed(seed), hidden_width=50, temperature=5.0)
        probs = policy.connect_probs()
        assert (probs - 0.5).abs().max() < 0.05
        assert probs.unique().numel() == 16
    assert Policy(16, torch.Generator()).connect_probs().tolist() == [0.5] * 16


def test_initial_weights_fill_pytorchs_default_range():
    policy = Policy(100, torch.Generator().manual_seed(1), hidden_width=50)
    for name, parameter in policy.named_parameters():
        bound = (20 if '.0.' in name else 50) ** -0.5
        assert 0.9 * bound < parameter.abs().max() <= bound
        assert abs(parameter.mean()) < 0.2 * bound


def test_log_prob_is_the_softmax_over_each_pair_of_logits():
    policy = make_policy(3, hidden_width=0, temperature=5.0)
    logits = policy.state_dict()['network.logits'].numpy().reshape(3, 2) / 5
    on = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    mask = torch.tensor([[True, False, True]])
    expected = np.log([on[0], 1 - on[1], on[2]])
    np.testing.assert_allclose(policy.log_prob(mask).detach().numpy()[0], expected, rtol=1e-12)
    np.testing.assert_allclose(policy.connect_probs().detach().numpy(), on, rtol=1e-12)


@pytest.mark.parametrize('hidden_width', [0, 50])
def test_probabilities_of_all_schemes_sum_to_one_and_give_the_entropy(hidden_width):
    policy = make_policy(3, hidden_width, temperature=2.0)
    joint = policy.log_prob(ALL_3_BIT_MASKS).sum(1)
    assert joint.exp().sum().item() == pytest.approx(1, abs=1e-12)
    entropy = -(joint.exp() * joint).sum().item()
    assert policy.entropy().sum().item() == pytest.approx(entropy, rel=1e-12)
    assert Policy(3, torch.Generator()).entropy().tolist() == pytest.approx([math.log(2)] * 3)


@pytest.mark.parametrize('hidden_width', [0, 50])
@pytest.mark.parametrize('baseline', [0.0, 1.7])
def test_expected_gradient_equals_that_of_the_enumerated_expected_reward(hidden_width, baseline):
    policy = make_policy(3, hidden_width, temperature=5.0)
    parameters = list(policy.parameters())
    rewards = torch.tensor([3.0, -1.0, 0.5, 2.0, 7.0, -4.0, 1.0, 0.25], dtype=torch.float64)
    weights = policy.log_prob(ALL_3_BIT_MASKS).sum(1).exp()
    exact = torch.autograd.grad(-(weights * rewards).sum(), parameters)
    expected = [torch.zeros_like(parameter) for parameter in parameters]
    for weight, mask, reward in zip(weights.tolist(), ALL_3_BIT_MASKS, rewards, strict=True):
        loss = policy_gradient_loss(policy.log_prob(mask[None]), reward[None] - baseline)
        for total, part in zip(expected, torch.autograd.grad(loss, parameters), strict=True):
            total += weight * part
    assert max(gradient.abs().max().item() for gradient in exact) > 0.01
    for one, other in zip(exact, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_samples_follow_the_probabilities_bit_by_bit_and_jointly():
    policy = make_policy(3, hidden_width=0, temperature=1.0, seed=5)
    samples = policy.sample(40_000, torch.Generator().manual_seed(0))
    codes = (samples * torch.tensor([4, 2, 1])).sum(1)
    frequencies = torch.bincount(codes, minlength=8) / len(codes)
    joint = policy.log_prob(ALL_3_BIT_MASKS).sum(1).exp()
    assert (frequencies - joint).abs().max() < 4 * 0.5 / len(codes) ** 0.5


def test_with_a_zero_input_the_first_weights_never_learn():
    policy = make_policy(3, hidden_width=50, temperature=5.0)
    policy.log_prob(ALL_3_BIT_MASKS[3:4]).sum().backward()
    first_weight, first_bias, _, _ = policy.parameters()
    assert first_weight.grad.abs().max() == 0
    assert ((first_bias.grad == 0) == (first_bias <= 0)).all()


@pytest.mark.parametrize(('hidden_width', 'temperature'), [(0, 1.0), (0, 3.0), (50, 5.0)])
def test_wanted_probabilities_are_reached_by_the_last_biases_alone(hidden_width, temperature):
    policy = make_policy(4, hidden_width, temperature)
    before = {name: parameter.clone() for name, parameter in policy.named_parameters()}
    wanted = torch.tensor([0.2, 0.5, 0.8, 0.999], dtype=torch.float64)
    policy.set_connect_probs(wanted)
    torch.testing.assert_close(policy.connect_probs(), wanted, rtol=1e-12, atol=0)
    changed = [name for name, parameter in policy.named_parameters() if not torch.equal(parameter, before[name])]
    assert changed == ['network.2.bias' if hidden_width else 'network.logits']
    assert all(parameter.requires_grad for parameter in policy.parameters())

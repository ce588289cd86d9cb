"""The model says what the textbook says about the Gaussian that it stands for."""

import numpy as np
import pytest
import torch

from ean_mm.search.masks import every_mask
from ean_mm.search.strategies import pair_model
from ean_mm.search.strategies.pair_model import PRIOR_VARIANCES, PairModel, covariances, num_rounds

VARIANCES = (0.5, 0.25, 0.125, 0.0625)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def signs(masks):
    return np.where(masks, 1.0, -1.0)


def products(masks):
    n = masks.shape[1]
    return np.array([[row[i] * row[j] for i in range(n) for j in range(i + 1, n)] for row in signs(masks)])


def some_rewards(masks, seed=0, noise=0.3):
    draws = np.random.default_rng(seed)
    n = masks.shape[1]
    pairs = products(masks).reshape(len(masks), -1)
    of_pairs = 0.4 * draws.normal(size=pairs.shape[1])
    return 70 + signs(masks) @ draws.normal(size=n) + pairs @ of_pairs + noise * draws.normal(size=len(masks))


def choose(n, count, seed=0):
    return every_mask(n)[np.sort(np.random.default_rng(seed).permutation(2**n)[:count])]


def textbook(masks, rewards, variances, with_rest):
    """Mean and covariance over all schemes, given rewards with noise; kernels written out by features."""
    n, scale = masks.shape[1], rewards.std()

    def kernel(ones, others, rest):
        different = (ones[:, None] != others[None]).sum(2)
        total = np.full((len(ones), len(others)), pair_model.MEAN_VARIANCE)
        total += variances[0] / n * signs(ones) @ signs(others).T
        total += variances[1] / (n * (n - 1) / 2) * products(ones) @ products(others).T
        return total + rest * variances[2] * 0.5**different

    everything = every_mask(n)
    inner = kernel(masks, masks, 1) + (variances[3] + pair_model.JITTER) * np.eye(len(masks))
    outer = kernel(everything, masks, with_rest)
    gain = outer @ np.linalg.inv(inner)
    mean = rewards.mean() + gain @ (rewards - rewards.mean())
    return mean, scale**2 * (kernel(everything, everything, with_rest) - gain @ outer.T)


@pytest.mark.parametrize('n', [2, 5])
def test_covariances_are_those_of_the_features(n):
    masks = every_mask(n)
    sites, pairs, rest, noise = covariances(masks, masks)
    np.testing.assert_allclose(sites, signs(masks) @ signs(masks).T / n)
    np.testing.assert_allclose(pairs, products(masks) @ products(masks).T / (n * (n - 1) / 2), atol=1e-12)
    np.testing.assert_allclose(np.diag(rest), 1)
    np.testing.assert_allclose(rest[0], 0.5 ** masks.sum(1))
    np.testing.assert_array_equal(noise, np.eye(2**n))


@pytest.mark.parametrize('with_rest', [True, False])
def test_what_is_expected_is_the_posterior_mean(with_rest):
    masks = choose(5, 14)
    rewards = some_rewards(masks)
    expected = PairModel(masks, rewards, VARIANCES, 0).expect(with_rest)
    mean, _ = textbook(masks, rewards, VARIANCES, with_rest)
    np.testing.assert_allclose(expected.everywhere()[0], mean, rtol=1e-10)
    np.testing.assert_allclose(expected(every_mask(5))[0], mean, rtol=1e-10)


@pytest.mark.parametrize('with_rest', [True, False])
def test_draws_have_the_mean_and_the_covariance_of_the_posterior(with_rest):
    masks = choose(3, 5)
    rewards = some_rewards(masks)
    count = 40_000
    drawn = PairModel(masks, rewards, VARIANCES, 0).draw(count, with_rest, seeded()).everywhere()
    mean, covariance = textbook(masks, rewards, VARIANCES, with_rest)
    spread = np.sqrt(np.diag(covariance))
    assert np.abs((drawn.mean(0) - mean) / spread).max() < 4 / count**0.5
    error = (np.cov(drawn.T) - covariance) / np.outer(spread, spread)
    assert np.abs(error).max() < 4 * 2**0.5 / count**0.5


def test_a_move_towards_the_expected_shrinks_the_spread():
    masks = choose(4, 8)
    model = PairModel(masks, some_rewards(masks), VARIANCES, 0)
    drawn, expected = model.draw(7, True, seeded()), model.expect(True)
    half = drawn.towards(expected, 0.5).everywhere()
    np.testing.assert_allclose(half, (drawn.everywhere() + expected.everywhere()) / 2, rtol=1e-12)
    np.testing.assert_allclose(drawn.towards(expected, 1.0).everywhere()[3], expected.everywhere()[0], rtol=1e-12)
    np.testing.assert_array_equal(drawn.only(3).everywhere()[0], drawn.everywhere()[3])


@pytest.mark.parametrize('n', [1, 2, 6])
def test_values_one_by_one_are_values_everywhere(n):
    masks = choose(n, min(2**n, 9))
    drawn = PairModel(masks, some_rewards(masks), VARIANCES, 1).draw(3, True, seeded())
    np.testing.assert_allclose(drawn(every_mask(n)), drawn.everywhere(), rtol=1e-12)


def log_density(masks, rewards, variances):
    """Of the variances, given standardised rewards, up to a constant."""
    standard = (rewards - rewards.mean()) / rewards.std()
    total = np.tensordot(variances, covariances(masks, masks), 1)
    total += pair_model.MEAN_VARIANCE + pair_model.JITTER * np.eye(len(masks))
    likelihood = -0.5 * (np.linalg.slogdet(total)[1] + standard @ np.linalg.solve(total, standard))
    prior = -0.5 * pair_model.PRIOR_WEIGHT * (np.log(variances) + np.array(PRIOR_VARIANCES) / variances)
    return likelihood + prior.sum()


@pytest.mark.parametrize('seed', range(3))
def test_every_round_improves_the_variances_until_nothing_is_left_to_improve(seed):
    masks = choose(7, 50, seed)
    rewards = some_rewards(masks, seed, noise=0.1 * 4**seed)
    variances, densities = np.array(PRIOR_VARIANCES), []
    for _ in range(250):
        densities.append(log_density(masks, rewards, variances))
        variances = PairModel(masks, rewards, variances, 1).variances
    assert (np.diff(densities) > -1e-9).all()
    assert densities[-1] > densities[0] + 0.1
    for i in range(4):
        for factor in (0.9, 1.1):
            changed = variances * np.where(np.arange(4) == i, factor, 1.0)
            assert log_density(masks, rewards, changed) < densities[-1]


def test_rounds_follow_one_another():
    masks = choose(6, 30)
    rewards = some_rewards(masks)
    at_once = PairModel(masks, rewards, PRIOR_VARIANCES, 5).variances
    one_by_one = PRIOR_VARIANCES
    for _ in range(5):
        one_by_one = PairModel(masks, rewards, one_by_one, 1).variances
    np.testing.assert_array_equal(at_once, one_by_one)


def test_what_is_there_is_found_and_what_is_not_is_not():
    masks = choose(9, 150)
    exact = PairModel(masks, some_rewards(masks, noise=0.0), PRIOR_VARIANCES, 60)
    noisy = PairModel(masks, some_rewards(masks, noise=1.5), PRIOR_VARIANCES, 60)
    unseen = every_mask(9)
    truth = some_rewards(unseen, noise=0.0)
    assert np.abs(exact.expect(True).everywhere()[0] - truth).max() < 0.05 * truth.std()
    assert exact.variances[3] < 0.01 < 0.1 < noisy.variances[3]
    assert exact.variances[0] > exact.variances[1] > exact.variances[2]


def test_units_do_not_matter():
    masks = choose(6, 20)
    rewards = some_rewards(masks)
    model, other = (PairModel(masks, each, PRIOR_VARIANCES, 5) for each in (rewards, 1000 * rewards - 3))
    np.testing.assert_allclose(other.variances, model.variances, rtol=1e-9)
    ours, theirs = (each.draw(4, True, seeded()).everywhere() for each in (model, other))
    np.testing.assert_allclose(theirs, 1000 * ours - 3, rtol=1e-9)


def test_equal_rewards_and_a_single_one_are_no_trouble():
    for count in (1, 5):
        masks = choose(4, count)
        model = PairModel(masks, np.full(count, 3.0), PRIOR_VARIANCES, 10)
        np.testing.assert_allclose(model.expect(True).everywhere(), 3.0)
        assert np.isfinite(model.draw(3, True, seeded()).everywhere()).all()


def test_the_more_rewards_the_fewer_rounds():
    rounds = [num_rounds(count) for count in (1, 10, 100, 300, 400, 600, 1000, 100_000)]
    assert rounds == [10, 10, 10, 10, 4, 1, 1, 1]

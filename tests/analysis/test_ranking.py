"""tau against scipy's, intervals by how often they hold, the ceiling against what a perfect scorer really reaches."""

import numpy as np
import pytest
from scipy import stats

from ean_mm.analysis import kendall_tau, measure_fidelity


@pytest.mark.parametrize('num_levels', [3, 10, 10**6])
@pytest.mark.parametrize('num_schemes', [3, 12, 50])
def test_against_scipy_with_ties_and_without(num_schemes, num_levels):
    generator = np.random.default_rng([num_schemes, num_levels, 1])
    first = generator.integers(num_levels, size=num_schemes).astype(float)
    second = first + generator.integers(num_levels, size=num_schemes)
    assert kendall_tau(first, second) == pytest.approx(np.nan_to_num(stats.kendalltau(first, second).statistic))


def test_a_constant_ranks_nothing():
    assert kendall_tau([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == 0


def test_a_bootstrap_resample_is_what_scipy_makes_of_the_drawn_schemes():
    generator = np.random.default_rng(0)
    scores, means = generator.normal(size=(2, 12))
    found = measure_fidelity({'a': scores}, means[:, None], num_resamples=400, seed=3).taus['a']
    taus = []
    for counts in np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), 400):
        drawn = np.repeat(np.arange(12), counts)
        taus.append(stats.kendalltau(scores[drawn], means[drawn]).statistic)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(taus, (0.025, 0.975))))
    assert found.value == pytest.approx(stats.kendalltau(scores, means).statistic)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = 2 / np.pi * np.arcsin(0.8)  # of two normal variables with this correlation
    generator = np.random.default_rng(0)
    held = []
    for seed in range(300):
        scores, noise = generator.normal(size=(2, 20))
        means = 0.8 * scores + 0.6 * noise
        found = measure_fidelity({'a': scores}, means[:, None], num_resamples=300, seed=seed).taus['a']
        held.append(found.low <= truth <= found.high)
    assert 0.87 < np.mean(held) < 0.99  # percentiles are a little narrow on twenty schemes


def test_the_ceiling_is_the_mean_over_pairs_of_seeds():
    table = np.random.default_rng(0).normal(size=(8, 3)) + np.arange(8)[:, None] / 2
    found = measure_fidelity({'a': table[:, 0]}, table).ceiling
    pairs = [stats.kendalltau(table[:, a], table[:, b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize('noise', [0.3, 1.0, 2.0])
@pytest.mark.parametrize('num_seeds', [2, 3, 5])
def test_a_perfect_scorer_reaches_what_is_said_of_it(num_seeds, noise):
    generator = np.random.default_rng(0)
    truth = generator.normal(size=600)
    table = truth[:, None] + noise * generator.normal(size=(600, num_seeds))
    found = measure_fidelity({'truth': truth}, table, num_resamples=1)
    assert found.perfect.value == pytest.approx(found.taus['truth'].value, abs=0.05)
    assert found.perfect.value > found.ceiling.value + 0.01


def test_the_gain_is_over_the_same_resamples():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=30)
    close, far = truth + 0.2 * generator.normal(size=30), truth + 2 * generator.normal(size=30)
    found = measure_fidelity({'close': close, 'far': far, 'same': close}, truth[:, None])
    assert found.gains.keys() == {'far', 'same'}
    assert found.gains['far'].value == pytest.approx(found.taus['close'].value - found.taus['far'].value)
    assert found.gains['far'].low > 0
    assert (found.gains['same'].low, found.gains['same'].high) == (0, 0)


def test_one_seed_has_no_ceiling():
    found = measure_fidelity({'a': [1, 2, 3]}, [[1], [2], [3]])
    assert found.ceiling is found.perfect is None
    assert found.taus['a'].value == 1


def test_it_is_a_function_of_the_seed():
    scores, table = {'a': [3, 1, 2, 5]}, [[1], [2], [3], [4]]
    assert measure_fidelity(scores, table, seed=1) == measure_fidelity(scores, table, seed=1)


def test_two_schemes_are_too_few():
    with pytest.raises(ValueError, match='`num_schemes` must be a whole number of at least 3, but got 2'):
        measure_fidelity({'a': [1, 2]}, [[1], [2]])

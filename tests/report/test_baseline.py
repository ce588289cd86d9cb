"""The expected best of a number of draws, against all of them enumerated."""

from itertools import combinations
from statistics import mean

import numpy as np
import pytest

from ean_mm.report.baseline import expected_best


@pytest.mark.parametrize('values', [[3.0], [1.0, 1.0, 4.0], [5.0, -2.0, 0.5, 7.25, 7.25, 1.0]])
def test_it_is_the_mean_over_all_sets_of_draws(values):
    every = [mean(max(chosen) for chosen in combinations(values, m)) for m in range(1, len(values) + 1)]
    np.testing.assert_allclose(expected_best(values, len(values)), every)


def test_a_sample_estimates_without_bias():
    """Averaged over all samples of four from six values, what they estimate is what all six give."""
    values = [5.0, -2.0, 0.5, 7.25, 3.0, 1.0]
    estimates = [expected_best(sample, 4) for sample in combinations(values, 4)]
    np.testing.assert_allclose(np.mean(estimates, axis=0), expected_best(values, 4))


def test_many_values_neither_overflow_nor_lose_the_top():
    best = expected_best(list(range(16384)), 900)
    assert best[0] == pytest.approx(16383 / 2)
    assert best[899] == pytest.approx(16385 * 900 / 901 - 1)  # of whole numbers 1 ... N: m (N + 1) / (m + 1)


@pytest.mark.parametrize('num_draws', [0, 3])
def test_more_draws_than_values_are_refused(num_draws):
    with pytest.raises(ValueError, match=rf'`num_draws` must be from 1 to the 2 values, but got {num_draws}'):
        expected_best([1.0, 2.0], num_draws)

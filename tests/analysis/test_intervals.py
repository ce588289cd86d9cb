"""Intervals against scipy's own, by how often they hold the truth, and by what they make of little."""

import numpy as np
import pytest
from scipy import stats

from ean_mm.analysis import Interval, paired_difference, t_interval


@pytest.mark.parametrize('confidence', [0.8, 0.95, 0.99])
@pytest.mark.parametrize('num', [2, 3, 10])
def test_against_scipy(num, confidence):
    values = np.random.default_rng(num).normal(70, 3, num).tolist()
    found = t_interval(values, confidence)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert (found.low, found.high, found.mean) == pytest.approx((expected.low, expected.high, np.mean(values)))
    assert found.margin == pytest.approx(expected.high - found.mean)
    assert found.num == num


def test_paired_differences_against_scipy():
    generator = np.random.default_rng(0)
    first, second = generator.normal(70, 3, 5), generator.normal(69, 3, 5)
    found = paired_difference(dict(enumerate(first)), dict(enumerate(second)))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_nineteen_in_twenty_hold_the_truth():
    draws = np.random.default_rng(0).normal(5, 2, (2000, 3))
    held = [interval.low <= 5 <= interval.high for interval in map(t_interval, draws.tolist())]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)  # three standard errors


def test_what_seeds_have_in_common_cancels():
    """A hard seed is hard for both: the paired interval is narrow where that of each mean is wide."""
    common = np.random.default_rng(0).normal(0, 10, 5)
    found = paired_difference(dict(enumerate(common + 1.1)), dict(enumerate(common + 0.1 * (np.arange(5) % 2))))
    assert found.verdict == 'better'
    assert t_interval(common.tolist()).margin > 5 > 0.2 > found.margin


def test_pairs_are_made_by_seed():
    assert paired_difference({3: 10.0, 1: 20.0}, {1: 19.0, 2: 0.0, 3: 8.0}).mean == 1.5
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_one_value_has_no_interval():
    found = t_interval([70.0])
    assert found == Interval(70.0, None, None, 1)
    assert (found.margin, found.verdict) == (None, 'unknown')


@pytest.mark.parametrize(
    ('low', 'high', 'verdict'),
    [(0.1, 2, 'better'), (-2, -0.1, 'worse'), (-0.1, 2, 'not distinguishable'), (0.0, 2.0, 'not distinguishable')],
)
def test_verdicts(low, high, verdict):
    assert Interval((low + high) / 2, low, high, 3).verdict == verdict

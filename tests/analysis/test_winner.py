"""The best of many is estimated without its luck, with an interval that holds the truth as often as it says."""

import numpy as np
import pytest
from scipy.stats import truncnorm

from ean_mm.analysis import estimate_winner
from ean_mm.analysis.winner import _cut_normal, _solve


@pytest.mark.parametrize('mean', [-12.0, -3.0, 0.0, 0.4, 9.0])
@pytest.mark.parametrize(('low', 'high'), [(-0.5, np.inf), (-2.0, 1.0), (-8.0, 30.0)])
def test_a_cut_normal_is_that_of_scipy(mean, low, high):
    expected = truncnorm.cdf(0, low - mean, high - mean, loc=mean)
    assert _cut_normal(mean, low, high) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_far_ahead_nothing_changes():
    low, middle, high = _solve(50.0, np.inf, num_candidates=30)
    assert middle == pytest.approx(0, abs=1e-6)
    assert (low, high) == pytest.approx((-2.0, 2.0), abs=0.1)  # of normal's 1.96


def draw_search(generator, truths, num_resamples=400):
    """A winner among schemes with independent noise of standard error 1, and draws of a bootstrap."""
    found = truths + generator.normal(size=len(truths))
    order = np.argsort(-found)[:20]
    draws = found[order] + generator.normal(size=(num_resamples, len(order)))
    return order[0], (found[order[0]], draws[:, 0], found[order[0]] - found[order[1:]], draws[:, :1] - draws[:, 1:])


@pytest.mark.parametrize(('num', 'lead'), [(30, 0.0), (200, 0.0), (30, 3.0), (30, 5.0)])
def test_intervals_hold_the_truth_and_estimates_are_not_too_high(num, lead):
    """400 searches: 95 % of them inside, give or take three standard deviations of that share; half of them too high."""
    truths = np.zeros(num)
    truths[0] = lead
    generator = np.random.default_rng(num)
    inside, above = [], []
    for _ in range(400):
        winner, arguments = draw_search(generator, truths)
        found = estimate_winner(*arguments, num)
        inside.append(found.low <= truths[winner] <= found.high)
        above.append(found.value > truths[winner])
    assert np.mean(inside) > 0.95 - 3 * (0.95 * 0.05 / 400) ** 0.5
    assert np.mean(above) == pytest.approx(0.5, abs=0.075)


def test_a_lead_is_found_and_the_plain_interval_is_wrong():
    generator = np.random.default_rng(0)
    found, plain = [], []
    for lead in (0.0, 4.0):
        truths = np.zeros(30)
        truths[0] = lead
        for _ in range(150):
            _, arguments = draw_search(generator, truths)
            found.append(estimate_winner(*arguments, 30).low > 0)
            plain.append(arguments[0] - 1.96 > 0)
    assert np.mean(plain[:150]) > 0.4  # of searches where there is nothing to find
    assert np.mean(found[:150]) < 0.07
    assert np.mean(found[150:]) > 0.65


def test_what_the_second_says_about_it():
    draws = np.random.default_rng(0).normal(size=(2000, 2))
    gaps = lambda gap: (np.array([gap]), draws[:, :1] - draws[:, 1:])  # noqa: E731
    estimates = [estimate_winner(3.0, draws[:, 0], *gaps(gap), 30).value for gap in (0.0, 0.5, 1.0, 2.0, 6.0)]
    assert estimates == sorted(estimates)
    assert estimates[0] < 0.5
    assert estimates[-1] == pytest.approx(3.0, abs=0.02)


def test_an_image_more_or_less_is_no_lead():
    draws = np.random.default_rng(0).normal(size=(2000, 2))
    arguments = 3.0, draws[:, 0], np.zeros(1), draws[:, :1] - draws[:, 1:], 30
    assert estimate_winner(*arguments, resolution=0.2).value > estimate_winner(*arguments).value


def test_where_images_do_not_differ_nothing_is_uncertain():
    found = estimate_winner(0.5, np.full(100, 0.5), np.zeros(1), np.zeros((100, 1)), 10)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_alone_there_is_no_choice():
    draws = 1.0 + np.random.default_rng(0).normal(size=2000)
    found = estimate_winner(1.0, draws, np.empty(0), np.empty((2000, 0)), 1)
    assert found.value == pytest.approx(1.0, abs=1e-6)
    assert found.margin == pytest.approx(1.96, abs=0.15)

from collections import Counter

import numpy as np
import pytest

from ean_mm.registry import STRATEGIES, build_from
from ean_mm.search import RandomSearch


def all_proposals(search, num_steps):
    return [tuple(mask) for step in range(num_steps) for mask in search.propose(step)]


@pytest.mark.parametrize('num_connections', range(1, 13))
def test_every_scheme_once_before_any_twice(num_connections):
    num_schemes = 2**num_connections
    search = RandomSearch(num_connections, seed=num_connections, samples_per_step=2)
    first = all_proposals(search, num_schemes // 2)
    assert len(set(first)) == num_schemes
    assert tuple(search.propose(num_schemes // 2)[0]) == first[0]


@pytest.mark.parametrize('num_connections', [16, 54, 200])
def test_a_whole_run_does_not_repeat(num_connections):
    proposals = all_proposals(RandomSearch(num_connections, seed=666), 300)
    assert len(set(proposals)) == 900


@pytest.mark.parametrize('num_connections', [9, 16, 54])
def test_bits_are_balanced_and_independent(num_connections):
    num_samples = 2 ** min(num_connections, 12) // 2
    search = RandomSearch(num_connections, seed=3, samples_per_step=num_samples)
    bits = search.propose(0).astype(float)
    assert np.abs(bits.mean(0) - 0.5).max() < 4 * 0.5 / num_samples**0.5
    correlation = np.corrcoef(bits.T) - np.eye(num_connections)
    assert np.abs(correlation).max() < 4.5 / num_samples**0.5


def test_over_seeds_every_scheme_is_first_equally_often():
    counts = Counter(tuple(RandomSearch(4, seed, samples_per_step=1).propose(0)[0]) for seed in range(1600))
    chi_square = sum((counts[scheme] - 100) ** 2 / 100 for scheme in counts)
    assert len(counts) == 16
    assert chi_square < 37.7  # 99.9 % quantile at 15 degrees of freedom


def test_seeds_give_different_orders():
    assert all_proposals(RandomSearch(9, 0), 5) != all_proposals(RandomSearch(9, 1), 5)


def test_rewards_change_nothing_and_there_is_nothing_to_report():
    search = RandomSearch(8)
    masks = search.propose(0)
    search.observe(0, masks, np.array([1.0, 2.0, 3.0]))
    assert search.state_dict() == {}
    assert search.summary() == {}
    np.testing.assert_array_equal(search.propose(0), masks)


def test_built_by_name():
    search = build_from(STRATEGIES, {'type': 'ean_mm.RandomSearch', 'num_steps': 20}, 'strategy', num_connections=9)
    assert isinstance(search, RandomSearch)
    assert (search.num_connections, search.num_steps, search.samples_per_step) == (9, 20, 3)

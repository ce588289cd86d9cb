"""Every scheme once, and as far apart as may be at any time."""

import numpy as np
import pytest

from ean_mm.registry import STRATEGIES, build_from
from ean_mm.search import Exhaustive


def all_proposals(search):
    return np.concatenate([search.propose(step) for step in range(search.num_steps)])


def distances(masks):
    """Bits in which any two of the masks differ."""
    return [int((one != other).sum()) for i, one in enumerate(masks) for other in masks[:i]]


@pytest.mark.parametrize('num_connections', range(1, 11))
def test_every_scheme_once_then_from_the_start_again(num_connections):
    search = Exhaustive(num_connections, seed=num_connections, samples_per_step=2)
    proposals = all_proposals(search)
    assert len(proposals) == len({mask.tobytes() for mask in proposals}) == 2**num_connections
    np.testing.assert_array_equal(search.propose(search.num_steps), proposals[:2])


@pytest.mark.parametrize('samples_per_step', [1, 3, 16, 600])
def test_without_num_steps_there_are_steps_for_all(samples_per_step):
    search = Exhaustive(9, samples_per_step=samples_per_step)
    assert 0 <= search.num_steps * samples_per_step - 512 < samples_per_step
    assert Exhaustive(9, num_steps=3).num_steps == 3


@pytest.mark.parametrize('seed', range(3))
def test_at_every_power_of_two_each_site_is_balanced_and_each_scheme_has_its_opposite(seed):
    proposals = all_proposals(Exhaustive(9, seed))
    assert not proposals[0].any()
    np.testing.assert_array_equal(proposals[1::2], ~proposals[::2])
    for size in (2**k for k in range(1, 10)):
        np.testing.assert_array_equal(proposals[:size].sum(0), size // 2)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize(('num_connections', 'best_known'), [(7, 3), (8, 4)])
def test_the_first_sixteen_are_as_far_apart_as_sixteen_can_be(num_connections, best_known, seed):
    """The Hamming code of length 7 and the Reed-Muller code of length 8 have 16 words; no larger distance is possible."""
    assert min(distances(all_proposals(Exhaustive(num_connections, seed))[:16])) == best_known


def test_each_further_generator_is_one_of_the_farthest_there_are():
    proposals = all_proposals(Exhaustive(9, seed=4))
    for size in (2**k for k in range(1, 9)):
        nearest = [(proposals[:size] != mask).sum(1).min() for mask in proposals]
        assert nearest[size] == max(nearest)


def test_seeds_give_different_orders():
    orders = {all_proposals(Exhaustive(6, seed)).tobytes() for seed in range(10)}
    assert len(orders) == 10


def test_more_than_fourteen_sites_are_refused_with_the_number_of_schemes():
    Exhaustive(14)
    with pytest.raises(
        ValueError, match=r'`num_connections` must be at most 14 .* got 15, which are 32,768 schemes; take'
    ):
        Exhaustive(15)


def test_built_by_name():
    search = build_from(STRATEGIES, {'type': 'ean_mm.Exhaustive'}, 'strategy', num_connections=5)
    assert (search.num_connections, search.num_steps, search.samples_per_step) == (5, 2, 16)


def test_a_search_ends_with_the_best_there_is(run):
    result = run(Exhaustive(4, samples_per_step=3))
    assert (result.num_distinct, str(result.best.scheme), result.best.reward) == (16, '10 10', 76.0)

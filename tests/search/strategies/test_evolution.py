"""Evolution picks, mutates and forgets as published, and repeats nothing."""

from collections import Counter
from math import comb

import numpy as np
import pytest

from ean_mm.registry import STRATEGIES, build_from
from ean_mm.search import RegularizedEvolution
from ean_mm.search.masks import every_mask

MASKS = every_mask(8)


def taught(numbers, rewards, **arguments):
    search = RegularizedEvolution(8, **arguments)
    search.observe(0, MASKS[numbers], np.array(rewards, dtype=float))
    return search


def parents(search, steps):
    """Of what is proposed at each step, which of FAR it is a child of."""
    children = [child for step in steps for child in search.propose(step)]
    return [[member for member in FAR if (MASKS[member] != child).sum() == 1] for child in children]


def test_until_the_population_is_full_proposals_are_random_and_distinct():
    search = RegularizedEvolution(8, samples_per_step=5, population_size=20)
    proposals = []
    for step in range(4):
        masks = search.propose(step)
        search.observe(step, masks, -masks.sum(1))
        proposals += list(masks)
    assert len({mask.tobytes() for mask in proposals}) == 20
    assert 0.35 < np.mean(proposals) < 0.65


# far apart, so that a child tells its parent
FAR = [0b00000000, 0b11110000, 0b00001111, 0b11111111, 0b00111100, 0b11000011]


def test_when_all_take_part_the_best_of_the_population_is_the_parent():
    search = taught(FAR, [3, 1, 7, 2, 5, 4], population_size=6, tournament_size=6, samples_per_step=1)
    assert parents(search, range(1, 9)) == [[FAR[2]]] * 8


def test_the_oldest_die_however_good_they_were():
    search = taught(FAR, [9, 8, 1, 3, 2, 1], population_size=4, tournament_size=4, samples_per_step=1)
    assert parents(search, range(1, 5)) == [[FAR[3]]] * 4
    search.observe(1, MASKS[[0b01010101]], [0.5])
    search.observe(2, MASKS[[0b10101010]], [0.5])
    assert parents(search, range(3, 7)) == [[FAR[4]]] * 4


def test_the_best_of_s_random_members_wins():
    """The r-th best of P members wins a tournament of S with probability C(P - r, S - 1) / C(P, S)."""
    search = taught(FAR, [6, 5, 4, 3, 2, 1], population_size=6, tournament_size=3, samples_per_step=1)
    steps = 1200
    winners = Counter(parent for (parent,) in parents(search, range(1, steps + 1)))
    expected = {member: steps * comb(5 - r, 2) / comb(6, 3) for r, member in enumerate(FAR[:4])}
    assert set(winners) <= set(expected)
    assert sum((winners[member] - count) ** 2 / count for member, count in expected.items()) < 16.3  # 99.9 %, 3 dof


def test_nothing_is_proposed_twice_until_everything_was():
    search = RegularizedEvolution(6, samples_per_step=4, population_size=5, tournament_size=2)
    proposals = []
    for step in range(16):
        masks = search.propose(step)
        search.observe(step, masks, masks.sum(1))
        proposals += [mask.tobytes() for mask in masks]
    assert len(set(proposals)) == 64
    assert search.propose(16).shape == (4, 6)


def test_schemes_that_cannot_become_the_ticket_are_left_out():
    search = RegularizedEvolution(6, samples_per_step=3, population_size=4, tournament_size=4)
    search.is_allowed = lambda masks: masks.sum(1) >= 3
    sizes = []
    for step in range(14):
        masks = search.propose(step)
        search.observe(step, masks, -masks.sum(1))  # would lead to none
        sizes += masks.sum(1).tolist()
    assert Counter(sizes) == {size: comb(6, size) for size in (3, 4, 5, 6)}


def test_it_climbs_faster_than_chance():
    effects = np.random.default_rng(0).normal(size=24)
    best = []
    for seed in range(5):
        search = RegularizedEvolution(24, seed, population_size=10, tournament_size=4)
        for step in range(60):
            masks = search.propose(step)
            search.observe(step, masks, masks @ effects)
        best.append(max(search._known.rewards))
    # the best of 180 random schemes lies about 2.7 standard deviations above the mean
    assert min(best) > effects.sum() / 2 + 3.2 * np.sqrt((effects**2).sum()) / 2


def test_what_the_population_earns_is_reported():
    search = taught(FAR, [9, 8, 1, 3, 2, 2], population_size=4, tournament_size=4)
    assert search.summary() == {'population_reward': 2.0}
    assert RegularizedEvolution(8).summary() == {}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'population_size': 0}, r'`population_size` must be a whole number of at least 1, but got 0\.'),
        ({'tournament_size': 0}, r'`tournament_size` must be a whole number of at least 1, but got 0\.'),
        (
            {'population_size': 3, 'tournament_size': 4},
            r'`tournament_size` must be at most population_size = 3, but got 4\.',
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RegularizedEvolution(8, **arguments)


def test_built_by_name():
    search = build_from(STRATEGIES, {'type': 'ean_mm.RegularizedEvolution'}, 'strategy', num_connections=9)
    assert (search.num_connections, search.num_steps, search.samples_per_step) == (9, 300, 3)


def test_a_warm_start_is_the_first_population():
    search = RegularizedEvolution(8, population_size=4, tournament_size=4, samples_per_step=1)
    assert search.keep_probabilities() is None
    search.warm_start(MASKS[FAR[:4]], np.array([3.0, 1.0, 7.0, 2.0]))
    assert parents(search, range(8)) == [[FAR[2]]] * 8
    np.testing.assert_array_equal(search.keep_probabilities(), [0.5] * 8)
    search.observe(0, MASKS[[0b11000011]], [0.5])  # the first of them dies
    np.testing.assert_array_equal(search.keep_probabilities(), [0.75, 0.75, 0.5, 0.5, 0.5, 0.5, 0.75, 0.75])

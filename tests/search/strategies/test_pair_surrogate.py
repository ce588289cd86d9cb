"""Our own strategy: finds what is there to find, repeats nothing, and says when nothing better is left."""

from itertools import combinations

import numpy as np
import pytest

from ean_mm.registry import STRATEGIES, build_from
from ean_mm.search import PairSurrogate
from ean_mm.search.masks import every_mask, flip, to_numbers
from ean_mm.search.strategies import pair_surrogate


def landscape(n, seed=0, pairs=0.3, noise=0.0):
    """Rewards with effects of sites and pairs, as a function of masks; the noise belongs to the scheme."""
    draws = np.random.default_rng(seed)
    sites, square = draws.normal(size=n), np.triu(pairs * draws.normal(size=(n, n)), 1)
    phases = 1000 * draws.random(n)

    def rewards(masks):
        signs = np.where(masks, 1.0, -1.0)
        values = 70 + signs @ sites + np.einsum('mi,ij,mj->m', signs, square, signs)
        return values + noise * np.sin(masks @ phases)

    return rewards


def search_on(search, rewards, num_steps, first=0):
    """Everything proposed, step by step, all of it scored."""
    proposals = []
    for step in range(first, first + num_steps):
        masks = search.propose(step)
        search.observe(step, masks, rewards(masks))
        proposals.append(masks)
    return np.concatenate(proposals)


def as_bytes(masks):
    return [mask.tobytes() for mask in masks]


def test_none_and_all_come_first_then_random_schemes_with_their_opposites():
    masks = search_on(PairSurrogate(16, samples_per_step=2, num_random=6), landscape(16), 4)
    assert masks[:2].sum(1).tolist() == [0, 16]
    np.testing.assert_array_equal(masks[2::2], ~masks[3::2])
    assert len(set(as_bytes(masks))) == 8


@pytest.mark.parametrize('seed', range(4))
def test_nine_sites_with_pairs_are_solved_within_sixty_schemes(seed):
    rewards = landscape(9, seed, noise=0.1)
    masks = search_on(PairSurrogate(9, seed), rewards, 20)
    assert rewards(masks).max() == rewards(every_mask(9)).max()


def test_thirty_three_sites_beat_two_thousand_random_schemes_within_sixty():
    rewards = landscape(33, pairs=0.1)
    masks = search_on(PairSurrogate(33), rewards, 20)
    by_chance = rewards(np.random.default_rng(0).random((2000, 33)) < 0.5)
    assert rewards(masks).max() > by_chance.max() + 0.5 * by_chance.std()


def test_nothing_is_proposed_twice_until_everything_was():
    search = PairSurrogate(6, samples_per_step=4)
    assert len(set(as_bytes(search_on(search, landscape(6), 16)))) == 64
    assert search.propose(16).shape == (4, 6)
    assert search.summary()['chance_of_better'] == 0


def test_what_has_failed_is_not_proposed_again():
    search, rewards = PairSurrogate(6, samples_per_step=4), landscape(6)
    failing = {mask.tobytes() for mask in every_mask(6) if to_numbers(mask[None])[0] % 3 == 0}
    proposals = []
    for step in range(16):
        masks = search.propose(step)
        works = np.array([mask.tobytes() not in failing for mask in masks])
        search.observe(step, masks[works], rewards(masks[works]))
        proposals += as_bytes(masks)
    assert len(set(proposals)) == 64


def test_steps_of_failures_alone_are_not_repeated_either_and_teach_nothing():
    search, rewards = PairSurrogate(9, samples_per_step=1), landscape(9)
    search_on(search, rewards, 30)
    state = search.state_dict()
    proposals = []
    for step in range(30, 34):
        proposals += as_bytes(search.propose(step))
        search.observe(step, np.zeros((0, 9), dtype=bool), np.zeros(0))
    assert len(set(proposals)) == 4
    assert search.state_dict()['rewards'].tolist() == state['rewards'].tolist()


def test_schemes_too_small_for_a_ticket_are_left_out_and_no_standard_of_the_best():
    search = PairSurrogate(6, samples_per_step=4)
    search.is_allowed = lambda masks: masks.sum(1) >= 3
    masks = search_on(search, lambda masks: -10.0 * masks.sum(1) + landscape(6)(masks) / 10, 11)
    assert masks.sum(1)[:42].min() == 3  # 42 is all there are
    assert len(set(as_bytes(masks[:42]))) == 42
    assert search.summary()['chance_of_better'] == 0


def test_once_the_model_sees_nothing_better_all_neighbours_of_the_best_are_tested():
    rewards = landscape(8, seed=3)
    search = PairSurrogate(8, samples_per_step=1, num_random=40)
    search_on(search, rewards, 60)
    assert search.summary()['chance_of_better'] == 0
    best = every_mask(8)[rewards(every_mask(8)).argmax()]
    near = [set(as_bytes(flip(best, num_bits))) for num_bits in (1, 2)]
    later = as_bytes(search_on(search, rewards, 36, first=60))
    known = set(as_bytes(search._known.masks))
    assert near[0] | near[1] <= known
    tested = [1 if each in near[0] else 2 if each in near[1] else 3 for each in later]
    assert tested == sorted(tested)  # one bit away, then two, then anything


def test_a_better_neighbour_is_the_new_best_and_its_neighbours_come_next():
    search = PairSurrogate(8, samples_per_step=1, num_random=40)
    rewards = landscape(8, seed=3)
    search_on(search, rewards, 100)
    best = every_mask(8)[rewards(every_mask(8)).argmax()]
    found = np.array(next(each for each in flip(best, 1)))[None] ^ flip(np.zeros(8, dtype=bool), 2)[20]
    assert found[0].tobytes() not in search._known.taken
    search.observe(100, found, [rewards(best[None])[0] + 0.01])
    near = set(as_bytes(flip(found[0], 1))) - search._known.taken
    assert near
    if search.summary()['chance_of_better'] == 0:
        assert search.propose(101)[0].tobytes() in near


def test_it_has_converged_when_no_draw_is_better_and_all_within_two_bits_of_the_best_is_scored():
    rewards = landscape(8, seed=3)
    search = PairSurrogate(8, samples_per_step=1, num_random=40)
    step = 0
    while not search.has_converged:
        search_on(search, rewards, 1, first=step)
        step += 1
    best = every_mask(8)[rewards(every_mask(8)).argmax()]
    near = [set(as_bytes(flip(best, num_bits))) for num_bits in (1, 2)]
    assert near[0] | near[1] <= set(search._known.taken)
    assert 42 < step < 120
    np.testing.assert_array_equal(search.keep_probabilities(), best)
    better = np.array(next(each for each in every_mask(8) if each.tobytes() not in search._known.taken))[None]
    search.observe(step, better, [rewards(best[None])[0] + 1])
    assert not search.has_converged


def test_the_larger_an_effect_the_surer_is_its_bit():
    effects = np.array([2.0, -2.0, 1.0, -1.0, 0.02, -0.02, 0.02, -0.02])
    search = PairSurrogate(8, num_random=10)
    np.testing.assert_array_equal(search.keep_probabilities(), 0.5)
    masks = np.random.default_rng(0).random((24, 8)) < 0.5
    search.warm_start(masks, np.where(masks, 1.0, -1.0) @ effects + 0.2 * np.random.default_rng(1).normal(size=24))
    keep = search.keep_probabilities()
    np.testing.assert_allclose(keep[:4], [1, 0, 1, 0], atol=0.1)
    assert ((keep[4:] > 0.1) & (keep[4:] < 0.9)).any()


def test_a_warm_start_is_learned_from_and_not_proposed_again():
    rewards = landscape(9, noise=0.1)
    given = every_mask(9)[np.random.default_rng(0).permutation(512)[:80]]
    search = PairSurrogate(9, num_random=0)
    search.warm_start(given, rewards(given))
    masks = search_on(search, rewards, 4)
    assert rewards(masks).max() == rewards(every_mask(9)).max() > rewards(given).max()
    assert not {*as_bytes(masks)} & {*as_bytes(given)}


@pytest.mark.parametrize('n', [10, 20])
def test_it_searches_among_few_allowed_schemes_and_learns_from_what_a_search_made_of_others(n):
    """Of 20 bits at most 3: nearly no random scheme is allowed, nor is what the model likes best."""
    rewards = landscape(n, pairs=0.1)
    search = PairSurrogate(n)
    search.is_allowed = lambda masks: masks.sum(1) <= 3
    draws, num_repaired = np.random.default_rng(0), []
    for step in range(25):
        masks = search.propose(step)
        num_repaired.append(0)
        for mask in masks:
            num_repaired[-1] += mask.sum() > 3
            mask[draws.permutation(np.flatnonzero(mask))[3:]] = False
        search.observe(step, masks, rewards(masks))
    small = np.array([np.isin(range(n), bits) for count in range(4) for bits in combinations(range(n), count)])
    assert search._known.rewards.max() == rewards(small).max()
    assert sum(num_repaired[5:]) == 0


def test_units_of_the_reward_do_not_matter():
    rewards = landscape(9, noise=0.2)
    ours = search_on(PairSurrogate(9), rewards, 15)
    theirs = search_on(PairSurrogate(9), lambda masks: 4 * rewards(masks), 15)
    np.testing.assert_array_equal(ours, theirs)


def test_beyond_the_limit_the_best_scores_are_fitted(monkeypatch):
    monkeypatch.setattr(pair_surrogate, 'MOST_FITTED', 12)
    search, rewards = PairSurrogate(7), landscape(7)
    masks = search_on(search, rewards, 15)
    fitted = search._fit(0).masks
    expected = masks[np.argsort(-rewards(masks))[:12]]
    assert set(as_bytes(fitted)) == set(as_bytes(expected))


def test_shares_are_reported():
    search = PairSurrogate(9)
    assert search.summary()['chance_of_better'] == 1.0
    search_on(search, landscape(9, pairs=0.05), 30)
    shares = {name: share for name, share in search.summary().items() if name != 'chance_of_better'}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares['sites'] > 0.8


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_random': -1}, r'`num_random` must be a whole number of at least 0, but got -1\.'),
        ({'num_random': 2.0}, r'`num_random` must be a whole number of at least 0, but got 2\.0\.'),
        ({'spread': 1.5}, r'`spread` must be a number from 0 to 1, but got 1\.5\.'),
        ({'spread': None}, r'`spread` must be a number from 0 to 1, but got None\.'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PairSurrogate(6, **arguments)


@pytest.mark.parametrize('num_connections', [1, 2])
def test_the_smallest_networks(num_connections):
    search = PairSurrogate(num_connections, samples_per_step=1, num_random=0)
    masks = search_on(search, landscape(num_connections), 2**num_connections)
    assert len(set(as_bytes(masks))) == 2**num_connections


def test_built_by_name():
    search = build_from(STRATEGIES, {'type': 'ean_mm.PairSurrogate', 'spread': 1}, 'strategy', num_connections=9)
    assert (search.num_connections, search.num_steps, search.samples_per_step) == (9, 100, 3)

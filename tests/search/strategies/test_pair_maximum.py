"""The largest value among free schemes, by brute force where that is possible."""

import numpy as np
import pytest

from ean_mm.search.masks import every_mask, flip
from ean_mm.search.strategies.pair_maximum import Maximizer, climb, climb_within
from ean_mm.search.strategies.pair_model import Functions


def random_functions(n, count=1, seed=0, pairs=0.4, with_rest=False):
    draws = np.random.default_rng(seed)
    square = np.triu(pairs * draws.normal(size=(count, n, n)), 1)
    rest = draws.normal(size=(count, 2**n * with_rest))
    return Functions(draws.normal(size=count), draws.normal(size=(count, n)), square + square.transpose(0, 2, 1), rest)


def starts(n, count, seed=0):
    return np.random.default_rng(seed).random((count, n)) < 0.5


def test_a_value_is_the_sum_written_out():
    functions = random_functions(4, 2, with_rest=True)
    x = [1, -1, -1, 1]
    for d in range(2):
        value = functions.mean[d] + sum(functions.sites[d, i] * x[i] for i in range(4))
        value += sum(functions.pairs[d, i, j] * x[i] * x[j] for i in range(4) for j in range(i + 1, 4))
        value += functions.rest[d, 0b1001]
        assert functions(np.array([[1, 0, 0, 1]], dtype=bool))[d, 0] == pytest.approx(value)


@pytest.mark.parametrize('n', [1, 2, 9, 33])
def test_where_climbing_ends_no_flip_of_one_or_two_bits_goes_up(n):
    functions = random_functions(n, count=4, seed=n)
    begin = starts(n, 6)
    ends = climb(functions, begin)
    assert ends.shape == (4, 6, n)
    for d, reached in enumerate(ends):
        alone = functions.only(d)
        assert (alone(reached) >= alone(begin) - 1e-9).all()
        for end in reached:
            height = alone(end[None])[0, 0]
            for num_bits in (1, 2):
                assert (alone(flip(end, num_bits)) <= height + 1e-8).all()


def test_climbing_leaves_the_starts_alone():
    begin = starts(8, 5)
    before = begin.copy()
    climb(random_functions(8), begin)
    np.testing.assert_array_equal(begin, before)


def test_up_to_fourteen_sites_the_largest_is_the_largest_of_all_free_ones():
    functions = random_functions(9, count=5, with_rest=True)
    values = functions(every_mask(9))
    order = np.argsort(-values, axis=1)
    taken = {every_mask(9)[number].tobytes() for number in order[:, :20].ravel()}
    masks, found = Maximizer(starts(9, 1), taken, lambda masks: masks.sum(1) >= 4).largest(functions)
    is_free = np.array([mask.tobytes() not in taken and mask.sum() >= 4 for mask in every_mask(9)])
    allowed = np.where(is_free, values, -np.inf)
    np.testing.assert_allclose(found, allowed.max(1))
    np.testing.assert_array_equal(masks, every_mask(9)[allowed.argmax(1)])


def test_where_nothing_is_free_the_value_says_so():
    for n in (5, 20):
        _, values = Maximizer(starts(n, 2), set(), lambda masks: masks.sum(1) < 0).largest(random_functions(n, 2))
        assert (values == -np.inf).all()


@pytest.mark.parametrize('seed', range(4))
def test_above_fourteen_sites_the_largest_is_found_by_climbing(seed):
    functions = random_functions(16, seed=seed)
    best = functions.everywhere()[0].max()
    masks, values = Maximizer(starts(16, 20), set()).largest(functions)
    assert values[0] == pytest.approx(best)
    assert functions(masks)[0, 0] == pytest.approx(best)


def test_above_fourteen_sites_taken_schemes_give_way_to_neighbours_of_the_best():
    functions = random_functions(16, pairs=0.05)
    values = functions.everywhere()[0]
    best = every_mask(16)[values.argmax()]
    near = np.concatenate([best[None], flip(best, 1), flip(best, 2)])
    heights = np.sort(functions(near)[0])[::-1]
    taken: set[bytes] = set()
    maximizer = Maximizer(starts(16, 10), taken)
    for height in heights[:20]:
        masks, found = maximizer.largest(functions)
        assert found[0] >= height - 1e-9
        assert masks[0].tobytes() not in taken
        taken.add(masks[0].tobytes())


@pytest.mark.parametrize('seed', range(4))
def test_where_the_highest_end_is_not_allowed_an_allowed_one_is_climbed_to(seed):
    """At most four of sixteen, by single sites alone: climbing then ends at the best."""
    functions = random_functions(16, seed=seed, pairs=0.0)
    is_small = every_mask(16).sum(1) <= 4
    best = np.where(is_small, functions.everywhere()[0], -np.inf).max()
    begin = np.concatenate([starts(16, 10, seed), np.arange(16)[None] < 4])
    masks, values = Maximizer(begin, set(), lambda masks: masks.sum(1) <= 4).largest(functions)
    assert masks.sum() <= 4
    assert values[0] == pytest.approx(best)


def test_climbing_within_keeps_to_what_is_allowed_and_ends_where_nothing_allowed_is_better():
    function = random_functions(20, pairs=0.2)
    is_allowed = lambda masks: masks[:, :10].sum(1) <= 2  # noqa: E731
    visited = []

    def look(masks):
        visited.append(masks)
        return is_allowed(masks)

    end = climb_within(function, np.zeros(20, dtype=bool), look)
    near = np.concatenate([flip(end, 1), flip(end, 2)])
    assert is_allowed(end[None])[0]
    assert function(near[is_allowed(near)]).max() <= function(end[None])[0, 0]
    assert not is_allowed(near[function(near)[0] > function(end[None])[0, 0]]).any()
    assert len(visited) > 3

"""Rows of bits: all, neighbours, random ones, free ones."""

from collections import Counter
from math import comb

import numpy as np
import pytest
import torch

from ean_mm.search.masks import allow_all, draw_masks, every_mask, flip, tell_free, to_numbers, walk_to_free


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_mask_once_at_the_place_that_it_spells():
    masks = every_mask(5)
    np.testing.assert_array_equal(to_numbers(masks), range(32))
    assert masks[19].astype(int).tolist() == [1, 0, 0, 1, 1]
    with pytest.raises(ValueError, match='read-only'):
        masks[0, 0] = True


@pytest.mark.parametrize('num_bits', [1, 2])
@pytest.mark.parametrize('n', [1, 2, 7])
def test_flips_are_all_schemes_at_that_distance(n, num_bits):
    mask = draw_masks(1, n, seeded())[0]
    before = mask.copy()
    flipped = flip(mask, num_bits)
    assert len({each.tobytes() for each in flipped}) == len(flipped) == comb(n, num_bits)
    np.testing.assert_array_equal((flipped != mask).sum(1), num_bits)
    np.testing.assert_array_equal(mask, before)


def test_free_is_what_is_not_taken_now_and_allowed():
    taken = {every_mask(3)[7].tobytes()}
    is_free = tell_free(taken, lambda masks: masks.sum(1) >= 2)
    np.testing.assert_array_equal(np.flatnonzero(is_free(every_mask(3))), [3, 5, 6])
    taken.add(every_mask(3)[5].tobytes())
    np.testing.assert_array_equal(np.flatnonzero(is_free(every_mask(3))), [3, 6])


def test_one_bit_is_flipped_if_that_is_enough_and_each_equally_often():
    mask = every_mask(6)[21]
    draws = seeded()
    found = Counter(walk_to_free(mask, tell_free(set(), allow_all), draws).tobytes() for _ in range(600))
    assert set(found) == {each.tobytes() for each in flip(mask, 1)}
    assert sum((count - 100) ** 2 / 100 for count in found.values()) < 20.5  # 99.9 % quantile, 5 degrees of freedom


@pytest.mark.parametrize('n', [9, 20])
def test_it_walks_on_while_schemes_are_taken(n):
    mask = draw_masks(1, n, seeded(1))[0]
    taken = {each.tobytes() for num_bits in (1, 2) for each in flip(mask, num_bits)} | {mask.tobytes()}
    for seed in range(20):
        assert walk_to_free(mask, tell_free(taken, allow_all), seeded(seed)).tobytes() not in taken


def test_the_last_free_scheme_is_found_and_without_one_there_is_still_an_answer():
    masks = every_mask(10)
    taken = {mask.tobytes() for mask in masks} - {masks[700].tobytes()}
    np.testing.assert_array_equal(walk_to_free(masks[0], tell_free(taken, allow_all), seeded()), masks[700])
    taken.add(masks[700].tobytes())
    assert walk_to_free(masks[0], tell_free(taken, allow_all), seeded()).shape == (10,)
    nothing = walk_to_free(np.zeros(16, dtype=bool), tell_free(set(), lambda masks: masks.sum(1) >= 17), seeded())
    assert nothing.shape == (16,)

"""What may be proposed: fixed bits, limits, repairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ean_mm.search import AddedCost, AddedCosts, Limits, SearchSpace, seeded_generator
from ean_mm.search.masks import every_mask
from ean_mm.structures import ConnectionScheme


def costs_of(*macs: float) -> AddedCosts:
    return AddedCosts(len(macs), {'macs': AddedCost(100.0, macs)})


def test_a_layout_alone_leaves_everything_free():
    space = SearchSpace((2, 3))
    masks = every_mask(5)
    assert (space.num_free, space.num_connections, space.blocks_per_stage) == (5, 5, (2, 3))
    np.testing.assert_array_equal(space.expand(masks), masks)
    np.testing.assert_array_equal(space.reduce(masks), masks)
    assert space.is_allowed(masks).all()
    assert space.count([]) == 32


def test_fixed_bits_are_not_proposed_and_hold_in_every_scheme():
    space = SearchSpace((3, 2), fixed='1*0 **')
    free = every_mask(3)
    masks = space.expand(free)
    assert space.num_free == 3
    assert masks[:, 0].all()
    assert not masks[:, 2].any()
    np.testing.assert_array_equal(space.reduce(masks), free)
    held = {mask.tobytes() for mask in masks}
    for mask in every_mask(5):
        assert bool(space.holds(mask[None])[0]) == (mask.tobytes() in held)
    assert space.count([]) == 8
    none, all_on = ConnectionScheme.none((3, 2)), ConnectionScheme.all((3, 2))
    assert space.count([none, all_on, none]) == 10  # both are outside, each counts once
    assert space.count([ConnectionScheme.from_string('100 11')]) == 8


def test_small_schemes_may_be_proposed_and_are_not_the_ticket():
    space = SearchSpace((2, 2), min_connected=3)
    sizes = every_mask(4).sum(1)
    np.testing.assert_array_equal(space.is_allowed(every_mask(4)), sizes >= 3)
    assert space.holds(every_mask(4)).all()
    assert space.allows(ConnectionScheme.from_string('11 10'))
    assert not space.allows(ConnectionScheme.from_string('11 00'))


def test_free_bits_are_judged_as_part_of_their_scheme():
    space = SearchSpace((2, 2), fixed='1* **', min_connected=2)
    np.testing.assert_array_equal(space.is_allowed_free(every_mask(3)), every_mask(3).sum(1) >= 1)


def test_what_is_beyond_the_limits_loses_connections_and_nothing_else():
    limits = Limits.parse({'macs': '+5%'}, costs_of(1.0, 2.0, 3.0, 4.0))
    space = SearchSpace((4,), limits=limits)
    masks = every_mask(4)
    repaired = space.repair(masks, seeded_generator(0, 0, 'repair'))
    assert limits.is_allowed(repaired).all()
    assert not (repaired & ~masks).any()
    is_fine = limits.is_allowed(masks)
    np.testing.assert_array_equal(repaired[is_fine], masks[is_fine])
    # one connection less than needed would still be beyond: every repaired scheme is a first one within on its way
    assert {mask.sum() for mask in repaired[~is_fine]} <= {1, 2}
    again = space.repair(masks, seeded_generator(0, 0, 'repair'))
    np.testing.assert_array_equal(again, repaired)
    others = space.repair(np.ones((200, 4), dtype=bool), seeded_generator(1, 0, 'repair'))
    assert len({mask.tobytes() for mask in others}) > 3  # which connections go is drawn


def test_without_limits_nothing_is_repaired():
    masks = every_mask(3)
    assert SearchSpace((3,), fixed='*1*').repair(masks, seeded_generator(0, 0, 'repair')) is masks


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_repaired_schemes_keep_limits_fixed_bits_and_size(data):
    n = data.draw(st.integers(2, 7))
    macs = data.draw(st.lists(st.integers(0, 5).map(float), min_size=n, max_size=n))
    pattern = ''.join(data.draw(st.lists(st.sampled_from('**01'), min_size=n, max_size=n)))
    if '*' not in pattern:
        pattern = '*' + pattern[1:]
    least = data.draw(st.integers(0, n - pattern.count('0')))
    costs = costs_of(*macs)
    low, high = costs.achievable_range('macs', {i: b == '1' for i, b in enumerate(pattern) if b != '*'}, least)
    limits = Limits({'macs': data.draw(st.floats(low, high))}, costs)
    space = SearchSpace((n,), pattern, least, limits)
    drawn = space.expand(np.random.default_rng(0).random((20, space.num_free)) < 0.7)
    repaired = space.repair(drawn, seeded_generator(data.draw(st.integers(0, 99)), 0, 'repair'))
    assert space.holds(repaired).all()
    assert space.is_allowed(repaired[drawn.sum(1) >= least]).all()
    assert space.count([]) == space.holds(space.expand(every_mask(space.num_free))).sum()


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        ({'min_connected': 5}, r'`min_connected` must be at most the 4 connections there are, but got 5'),
        ({'min_connected': -1}, r'`min_connected` must be a whole number of at least 0'),
        (
            {'fixed': '0* **', 'min_connected': 4},
            r'at most the 3 connections there are that `fixed` leaves of 4, but got 4',
        ),
        ({'fixed': '1*'}, r"`fixed` must be a scheme of the form '\*\* \*\*', .* but got '1\*'"),
        ({'fixed': '1* *x'}, r'with 0 or 1 for each bit that is not to be searched'),
        ({'fixed': ''}, r'`fixed` must be a scheme of the form'),
        ({'fixed': 3}, r'`fixed` must be a scheme of the form .* but got 3'),
        ({'fixed': '10 11'}, r"`fixed` must leave at least one bit free \('\*'\), but got '10 11'"),
    ],
)
def test_what_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        SearchSpace((2, 2), **arguments)


def test_limits_that_no_scheme_keeps_are_refused_at_once():
    limits = Limits.parse({'macs': '+5%'}, costs_of(1.0, 2.0, 3.0, 4.0))
    with pytest.raises(ValueError, match=r'`limits` must leave a scheme'):
        SearchSpace((4,), fixed='**11', limits=limits)

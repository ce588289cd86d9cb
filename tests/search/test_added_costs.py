import math

import numpy as np
import pytest
import random_costs
from hypothesis import given, settings
from hypothesis import strategies as st

from ean_mm.search import AddedCost, AddedCosts
from ean_mm.search.masks import every_mask

BITS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=bool)
PARAMS = AddedCost(1000, (0, 0, 0), ('a', 'a', 'b'), {'a': 20, 'b': 100})


def in_space(masks, fixed, min_connected):
    kept = masks.sum(1) >= min_connected
    for bit, value in fixed.items():
        kept &= masks[:, bit] == value
    return masks[kept]


def test_a_group_is_paid_once():
    assert PARAMS.of(BITS).tolist() == [1000, 1020, 1020, 1100, 1120]


def test_bits_and_groups_add_up():
    both = AddedCost(0.5, (1.0, 2.0, 4.0), ('a', 'a', 'b'), {'a': 10.0, 'b': 100.0})
    assert both.of(BITS).tolist() == [0.5, 11.5, 13.5, 104.5, 117.5]


def test_the_cost_of_a_mask_does_not_depend_on_those_beside_it():
    generator = np.random.default_rng(0)
    cost = AddedCost(3.7, tuple(generator.random(33).tolist()))
    masks = generator.random((200, 33)) < 0.5
    assert np.array_equal(cost.of(masks), np.concatenate([cost.of(mask[None]) for mask in masks]))


def test_shares_of_what_all_connections_add():
    costs = AddedCosts(3, {'params': PARAMS, 'macs': AddedCost(7, (1, 1, 2)), 'free': AddedCost(5, (0, 0, 0))})
    assert costs.share('params', BITS).tolist() == pytest.approx([0, 1 / 6, 1 / 6, 5 / 6, 1])
    assert costs.share('macs', BITS).tolist() == [0, 0.25, 0.5, 0.5, 1]
    assert costs.share('free', BITS).tolist() == [0] * 5
    assert costs.share('num_connected', BITS).tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1 / 3, 1])


def test_savings_are_negative_shares_of_all_that_changes():
    costs = AddedCosts(3, {'macs': AddedCost(100, (-6, 1, 3))})
    assert costs.share('macs', BITS).tolist() == pytest.approx([0, -0.6, -0.5, 0.3, -0.2])


def test_the_number_of_connections_is_a_cost_of_every_space():
    costs = AddedCosts(3)
    assert costs.names == ('num_connected',)
    assert costs.of('num_connected', BITS).tolist() == [0, 1, 2, 1, 3]
    assert costs.achievable_range('num_connected', {0: True, 1: False}, 1) == (1, 2)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_range_is_that_of_all_schemes(data):
    costs = data.draw(random_costs.costs())
    fixed, min_connected = data.draw(random_costs.spaces(costs.num_connections))
    masks = in_space(every_mask(costs.num_connections), fixed, min_connected)
    for name in costs.names:
        every = costs.of(name, masks)
        low, high = costs.achievable_range(name, fixed, min_connected)
        assert low == pytest.approx(every.min(), abs=1e-12)
        assert high == pytest.approx(every.max(), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_cheapest_mask_lies_in_the_space(data):
    costs = data.draw(random_costs.costs())
    fixed, min_connected = data.draw(random_costs.spaces(costs.num_connections))
    for name in costs.names:
        for sign in (1, -1):
            mask = costs[name].cheapest(fixed, min_connected, sign)
            assert len(in_space(mask[None], fixed, min_connected)) == 1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(bare=math.nan, bits=(1,)), r'`bare` must be a finite number, but got nan\.'),
        (dict(bare=1, bits=(1, math.inf)), r'`bits and group_costs` must be finite numbers, but got inf\.'),
        (
            dict(bare=1, bits=(1, 2), groups=('a',), group_costs={'a': 1}),
            r'must have one entry for each of the 2 bits, but',
        ),
        (
            dict(bare=1, bits=(1,), groups=('a',), group_costs={'b': 1}),
            r"must name the groups \['a'\], but got \['b'\]\.",
        ),
    ],
)
def test_bad_costs(arguments, message):
    with pytest.raises(ValueError, match=message):
        AddedCost(**arguments)


def test_bad_spaces():
    with pytest.raises(ValueError, match=r"`costs` must have 2 bits, but got 3 for 'params'\."):
        AddedCosts(2, {'params': PARAMS})
    costs = AddedCosts(3, {'params': PARAMS})
    with pytest.raises(ValueError, match=r"\('params', 'num_connected'\), but got 'latency'; have it measured first"):
        costs.of('latency', BITS)
    with pytest.raises(ValueError, match=r"but got 'param'; did you mean 'params'\?"):
        costs.share('param', BITS)
    with pytest.raises(ValueError, match=r'`fixed` must name bits from 0 to 2, but got 3\.'):
        costs.achievable_range('params', {3: True})
    with pytest.raises(
        ValueError, match=r'`min_connected` must be at most the 2 connections that can be on, but got 3\.'
    ):
        costs.achievable_range('params', {0: False}, 3)

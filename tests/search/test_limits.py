import math

import numpy as np
import pytest
import random_costs
from hypothesis import given, settings
from hypothesis import strategies as st

from ean_mm.search import AddedCost, AddedCosts, Limits
from ean_mm.search.masks import every_mask

# two stages of two blocks; the second costs more parameters, the first more latency
COSTS = AddedCosts(
    4,
    {
        'params': AddedCost(1_000_000, (0, 0, 0, 0), ('a', 'a', 'b', 'b'), {'a': 10_000, 'b': 160_000}),
        'macs': AddedCost(4_000_000_000, (30_000_000, 30_000_000, 10_000_000, 10_000_000)),
        'latency': AddedCost(10.0, (2.0, 1.5, 0.5, 0.25)),
    },
)


def spell(mask):
    return ''.join('01'[int(bit)] for bit in mask)


def allowed(**bounds):
    return {spell(mask) for mask in every_mask(4)[Limits(bounds, COSTS).is_allowed(every_mask(4))]}


def test_what_is_allowed():
    assert allowed(params=1_010_000) == {'0000', '1000', '0100', '1100'}
    assert allowed(num_connected=1, latency=10.5) == {'0000', '0010', '0001'}
    assert allowed(latency=9.99) == set()
    assert len(allowed()) == 16


def test_a_bound_that_is_just_reached_is_kept():
    tenths = AddedCosts(3, {'latency': AddedCost(0.1, (0.1, 0.2, 0.3))})
    assert Limits({'latency': 0.7}, tenths).is_allowed(np.ones((1, 3), dtype=bool)).all()


@pytest.mark.parametrize(
    ('given', 'bound'),
    [
        (dict(params=26_000_000), 26e6),
        (dict(params='26M'), 26e6),
        (dict(params='1010k'), 1.01e6),
        (dict(params='+1%'), 1.01e6),
        (dict(params=' +1.5 % '), 1.015e6),
        (dict(params='-1%'), 0.99e6),
        (dict(macs='4.2G'), 4.2e9),
        (dict(macs='4.2e9'), 4.2e9),
        (dict(latency='+5%'), 10.5),
        (dict(latency='10.25'), 10.25),
        (dict(num_connected='6'), 6),
        (dict(num_connected=6), 6),
    ],
)
def test_spellings_of_a_bound(given, bound):
    assert list(Limits.parse(given, COSTS).bounds.values()) == [bound]


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ([('params', 3)], r"`limits` must be a dict like \{'latency': '\+5%'\}, but got \[\('params', 3\)\]\."),
        (
            dict(flops=1),
            r"counted or measured \('params', 'macs', 'latency', 'num_connected'\), but got 'flops'; have it",
        ),
        (dict(mac=1), r"but got 'mac'; did you mean 'macs'\?"),
        (dict(params='5%'), r"`limits.params` must be a number, text like '26M', or a share .*, but got '5%'\."),
        (dict(params='many'), r"but got 'many'\."),
        (dict(params=True), r'but got True\.'),
        (dict(params=math.nan), r'but got nan\.'),
        (dict(latency=None), r'`limits.latency` must be .*, but got None\.'),
        (dict(num_connected='+5%'), r"`limits.num_connected` must be a number, but got '\+5%'\."),
    ],
)
def test_bad_bounds(given, message):
    with pytest.raises(ValueError, match=message):
        Limits.parse(given, COSTS)


def test_a_bound_must_be_finite():
    with pytest.raises(ValueError, match=r'`limits.macs` must be a finite number, but got inf\.'):
        Limits({'macs': math.inf}, COSTS)


def test_latency_that_nobody_measured():
    with pytest.raises(ValueError, match=r"\('macs', 'num_connected'\), but got 'latency'; have it measured first\."):
        Limits.parse({'latency': '+5%'}, AddedCosts(1, {'macs': AddedCost(1, (1,))}))


@pytest.mark.parametrize(
    ('bounds', 'fixed', 'min_connected', 'message'),
    [
        (
            dict(latency=9.9),
            {},
            0,
            r'`limits` must leave a scheme, but got latency <= 9\.9 ms; latency can be from 10 ms to 14\.25 ms\.',
        ),
        (
            dict(macs=4.03e9),
            {0: True},
            2,
            r'a scheme with at least 2 connected and 1 fixed on, but got macs <= 4,030,000,000; '
            r'macs can be from 4,040,000,000 to 4,080,000,000\.',
        ),
        (
            dict(num_connected=1),
            {},
            3,
            r'with at least 3 connected, but got num_connected <= 1; num_connected can be from 3 to 4\.',
        ),
        (
            dict(params=1_010_000, latency=10.75),
            {},
            2,
            r'but got params <= 1,010,000 and latency <= 10\.75 ms, which cannot be kept together; '
            r'with params <= 1,010,000, latency is at least 13\.5 ms\.',
        ),
        (
            dict(params=1_200_000, latency=10.75, macs=4_010_000_000),
            {3: False, 2: False},
            1,
            r'with at least 1 connected and 2 fixed off, but got latency <= 10\.75 ms; latency can be from 11\.5 ms to',
        ),
    ],
)
def test_infeasible_limits_are_refused_with_what_can_be_had(bounds, fixed, min_connected, message):
    with pytest.raises(ValueError, match=message):
        Limits(bounds, COSTS).require_feasible(fixed, min_connected)


def test_a_mask_for_limits_that_neither_cheapest_mask_keeps():
    # params forbid using both groups, latency the two first bits, macs the pair of least latency
    costs = AddedCosts(
        6,
        {
            'params': AddedCost(0, (0,) * 6, ('a', 'a', 'b', 'b', 'c', 'c'), {'a': 1, 'b': 2, 'c': 3}),
            'latency': AddedCost(0.0, (9.0, 9.0, 3.0, 3.0, 1.0, 1.0)),
        },
    )
    assert spell(Limits({'params': 2, 'latency': 6.0}, costs).require_feasible({}, 2)) == '001100'


def test_no_limits_no_objection():
    assert spell(Limits({}, COSTS).require_feasible({1: True}, 2))[1] == '1'
    with pytest.raises(
        ValueError, match=r'`min_connected` must be at most the 3 connections that can be on, but got 4\.'
    ):
        Limits({}, COSTS).require_feasible({0: False}, 4)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_feasible_exactly_if_some_scheme_is(data):
    costs = data.draw(random_costs.costs())
    fixed, min_connected = data.draw(random_costs.spaces(costs.num_connections))
    masks = every_mask(costs.num_connections)
    wanted = data.draw(st.lists(st.sampled_from(costs.names), min_size=1, max_size=4, unique=True))
    # values that schemes have, so that bounds are often just reached
    bounds = {name: float(data.draw(st.sampled_from(costs.of(name, masks).tolist()))) for name in wanted}
    limits = Limits(bounds, costs)
    fits = limits.is_allowed(masks) & (masks.sum(1) >= min_connected)
    for bit, value in fixed.items():
        fits &= masks[:, bit] == value
    if not fits.any():
        with pytest.raises(ValueError, match=r'`limits` must leave a scheme'):
            limits.require_feasible(fixed, min_connected)
    else:
        found = limits.require_feasible(fixed, min_connected)
        assert any(np.array_equal(found, mask) for mask in masks[fits])


def test_bounds_reached_by_one_scheme_alone_among_costs_of_real_size():
    """Where all coefficients are large and alike, the solver's tolerance is wider than what tells schemes apart."""
    generator = np.random.default_rng(3)
    n = 16
    costs = AddedCosts(
        n,
        {
            'macs': AddedCost(4_089_184_256, tuple(generator.integers(9_000_000, 9_000_200, n).tolist())),
            'latency': AddedCost(31.7, tuple((0.3 + 1e-3 * generator.random(n)).tolist())),
        },
    )
    masks = every_mask(n)[every_mask(n).sum(1) == 7]
    macs, latency = costs.of('macs', masks), costs.of('latency', masks)
    # of the schemes that no other beats in both, one in the middle
    order = np.lexsort((latency, macs))
    front = order[latency[order] < np.minimum.accumulate(np.r_[np.inf, latency[order]])[:-1]]
    chosen = front[len(front) // 2]
    tight = Limits({'macs': float(macs[chosen]), 'latency': float(latency[chosen])}, costs)
    assert np.array_equal(tight.require_feasible({}, 7), masks[chosen])
    tighter = Limits({'macs': float(macs[chosen]) - 8, 'latency': float(latency[chosen])}, costs)
    assert not tighter.is_allowed(masks).any()
    with pytest.raises(ValueError, match=r'which cannot be kept together; with macs <= [\d,]+, latency is at least'):
        tighter.require_feasible({}, 7)

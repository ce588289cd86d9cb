"""Random costs of small networks, for tests against all their schemes."""

from __future__ import annotations

from hypothesis import strategies as st

from ean_mm.search import AddedCost, AddedCosts

whole = st.integers(-6, 12)
fractional = st.floats(-2.0, 5.0).map(lambda value: round(value, 3))


@st.composite
def costs(draw, max_bits: int = 7):
    """Three costs: by the group alone as parameters are, by the bit in whole numbers, by both in fractions."""
    n = draw(st.integers(1, max_bits))
    groups = tuple(draw(st.lists(st.sampled_from('abc'), min_size=n, max_size=n)))
    by_group = {group: draw(whole) for group in sorted(set(groups))}
    other = {group: draw(fractional) for group in sorted(set(groups))}
    bits = draw(st.lists(whole, min_size=n, max_size=n))
    parts = draw(st.lists(fractional, min_size=n, max_size=n))
    return AddedCosts(
        n,
        {
            'params': AddedCost(100, (0,) * n, groups, by_group),
            'macs': AddedCost(50, tuple(bits)),
            'latency': AddedCost(3.5, tuple(parts), groups, other),
        },
    )


@st.composite
def spaces(draw, num_connections: int):
    """Some bits fixed, and a number of connections that the others allow."""
    bits = st.integers(0, num_connections - 1)
    fixed = draw(st.dictionaries(bits, st.booleans(), max_size=num_connections))
    most = num_connections - sum(not value for value in fixed.values())
    return fixed, draw(st.integers(0, most))

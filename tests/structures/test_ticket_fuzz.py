"""No input makes the ticket parser raise anything but TicketError, or keeps it busy."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tickets import changed, make_ticket

from ean_mm.structures import BackboneFingerprint, ConnectionScheme, Ticket, TicketError

# -- fuzzing --------------------------------------------------------------------------------------

fuzz = settings(
    max_examples=2000,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
names = st.text(st.characters(exclude_categories=['Cs']), max_size=6)
finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.none() | st.integers(0, 2**63 - 1)
arguments = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | finite | names,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=3,
)
GOOD = make_ticket().to_json()
WORDS = [b'NaN', b'1e400', b'true', b'null', b'"version": 1,', b'\xed\xa0\x80', b'[' * 40, b'9' * 30]
insertions = st.binary(max_size=4) | st.sampled_from(WORDS)


@st.composite
def tickets(draw) -> Ticket:
    layout = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    codes = [draw(st.integers(0, 2**count - 1)) for count in layout]
    width = st.integers(1, 2**31 - 1)
    return Ticket(
        origin=draw(st.sampled_from(['searched', 'quoted', 'given'])),
        scheme=ConnectionScheme.from_codes(codes, layout),
        backbone=BackboneFingerprint(
            type=draw(st.sampled_from(['ResNet', 'ResNeXt', '_Own'])),
            depth=draw(st.none() | width),
            blocks_per_stage=layout,
            channels=[draw(width) for _ in layout],
        ),
        attention={**draw(st.dictionaries(names, arguments, max_size=2)), 'type': 'x.Attention'},
        sharing=draw(st.sampled_from(['stage', 'block'])),
        metrics=draw(st.dictionaries(names, finite, max_size=2)),
        params=draw(counts),
        macs=draw(counts),
        seed=draw(counts),
        supernet_sha256=draw(st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex)),
        versions=draw(st.dictionaries(names, names, max_size=2)),
        notes=draw(names),
    )


@st.composite
def mutated(draw) -> bytes:
    """A good ticket with a few of its bytes cut, replaced or repeated."""
    data = GOOD.encode()
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 30)))
        insert = draw(insertions) or 2 * data[start:stop]
        data = data[:start] + insert + data[stop:]
    return data


def read_or_refuse(text: str | bytes) -> Ticket | None:
    """Only TicketError, and no input that keeps the parser busy."""
    for _ in range(3):  # a slow machine may take a break in between; a slow parser always does
        start = time.process_time()
        try:
            ticket = Ticket.from_json(text)
        except TicketError as err:
            ticket = None
            assert '\n' not in str(err)  # noqa: PT017
        if time.process_time() - start < 1:
            return ticket
    pytest.fail(f'a second is too long for {text[:200]!r}')


@fuzz
@given(st.binary(max_size=300) | st.text(max_size=200))
def test_fuzz_anything(text):
    assert read_or_refuse(text) is None


@fuzz
@given(mutated())
def test_fuzz_almost_a_ticket(text):
    ticket = read_or_refuse(text)
    if ticket is not None:
        assert Ticket.from_json(ticket.to_json()) == ticket


@fuzz
@given(tickets())
def test_fuzz_round_trip(ticket):
    text = ticket.to_json()
    assert read_or_refuse(text) == ticket
    assert Ticket.from_json(text.encode()) == ticket
    assert Ticket.from_json(text).to_json() == text


@pytest.mark.parametrize(
    'text',
    [
        '{"a": [' + '1,' * 32_000 + '1]}',
        '{' + ','.join(f'"{n}":1' for n in range(5_000)) + ',"1":1}',
        changed(metrics={str(n): n for n in range(4_000)}),
        changed(scheme='1 ' * 4_000 + '1'),
        changed(scheme='1' * 60_000),
        changed(scheme='1 ' * 30_000 + '1'),
        changed(attention={'type': 'x', 'list': [''] * 15_000}),
        '{"a":"' + '\\u0000' * 10_900 + '"}',
        '[' + '{},' * 20_000 + '{}]',
    ],
)
def test_long_texts_are_read_quickly(text):
    assert len(text) <= 65_536
    read_or_refuse(text)

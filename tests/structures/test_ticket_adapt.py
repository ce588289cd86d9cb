"""Tickets for other stages: the rules, what is kept, and what a tampered way is refused for."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tickets import R50, WIDTHS, make_ticket

from ean_mm.structures import BackboneFingerprint, ConnectionScheme, Ticket, TicketError
from ean_mm.structures.adaptation import adapt_scheme, nearest_blocks

counts = st.integers(1, 40)
quick = settings(max_examples=300, deadline=None, database=None)
R101 = (3, 4, 23, 3)


@st.composite
def schemes(draw) -> ConnectionScheme:
    layout = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    return ConnectionScheme.from_codes([draw(st.integers(0, 2**count - 1)) for count in layout], layout)


def layouts_like(scheme: ConnectionScheme):
    size = len(scheme.blocks_per_stage)
    return st.lists(st.integers(1, 30), min_size=size, max_size=size).map(tuple)


def make_for(scheme: ConnectionScheme, **changes) -> Ticket:
    layout = scheme.blocks_per_stage
    backbone = BackboneFingerprint(
        type='ResNet', depth=3 * sum(layout) + 2, blocks_per_stage=layout, channels=WIDTHS[: len(layout)]
    )
    return make_ticket(scheme=scheme, backbone=backbone, **changes)


# -- nearest --------------------------------------------------------------------------------------


@quick
@given(counts, counts)
def test_no_block_is_nearer_and_no_earlier_one_as_near(num_old, num_new):
    def position(block: int, count: int) -> Fraction:
        return Fraction(block, max(count - 1, 1))

    def distance(i: int, j: int) -> Fraction:
        return abs(position(i, num_new) - position(j, num_old))

    expected = [min(range(num_old), key=lambda j: (distance(i, j), j)) for i in range(num_new)]
    assert nearest_blocks(num_old, num_new) == expected


@quick
@given(counts, st.integers(2, 40))
def test_first_and_last_come_from_first_and_last_in_order(num_old, num_new):
    blocks = nearest_blocks(num_old, num_new)
    assert (blocks[0], blocks[-1]) == (0, num_old - 1)
    assert blocks == sorted(blocks)


@quick
@given(st.data())
def test_longer_stages_mapped_back_are_what_they_were(data):
    scheme = data.draw(schemes())
    more = data.draw(st.lists(st.integers(0, 20), min_size=len(scheme.stages), max_size=len(scheme.stages)))
    longer = tuple(count + extra for count, extra in zip(scheme.blocks_per_stage, more, strict=True))
    there = adapt_scheme(scheme, longer, 'nearest')
    assert there.blocks_per_stage == longer
    assert adapt_scheme(there, scheme.blocks_per_stage, 'nearest') == scheme
    assert adapt_scheme(scheme, scheme.blocks_per_stage, 'nearest') == scheme


@quick
@given(st.data())
def test_all_and_none_stay_all_and_none(data):
    scheme = data.draw(schemes())
    layout = data.draw(layouts_like(scheme))
    for name in ('all', 'none'):
        old, new = (getattr(ConnectionScheme, name)(blocks) for blocks in (scheme.blocks_per_stage, layout))
        assert adapt_scheme(old, layout, 'nearest') == new


@pytest.mark.parametrize(
    ('old', 'layout', 'new'),
    [
        ('101 0110 100100 010', R101, '101 0110 11100000000011110000000 010'),
        ('10', (1,), '1'),
        ('01', (1,), '0'),
        ('1', (3,), '111'),
        ('01', (3,), '001'),  # the middle is as near to both
        ('10 01', (4, 5), '1100 00011'),
        ('011010', (3,), '010'),  # 2.5 is as near to 2 as to 3
    ],
)
def test_nearest_by_hand(old, layout, new):
    assert str(adapt_scheme(ConnectionScheme.from_string(old), layout, 'nearest')) == new


# -- first stages ---------------------------------------------------------------------------------


@quick
@given(schemes(), st.integers(1, 4))
def test_the_first_stages_keep_their_bits(scheme, count):
    layout = scheme.blocks_per_stage[:count]
    assert str(adapt_scheme(scheme, layout, 'first_stages')) == ' '.join(str(scheme).split(' ')[:count])


@pytest.mark.parametrize(
    ('layout', 'rule', 'match'),
    [
        ((3, 4, 5), 'first_stages', r"`blocks_per_stage` must be the first stages of \(3, 4, 6, 3\) for rule 'first"),
        ((4, 6, 3), 'first_stages', r'but got \(4, 6, 3\)'),
        ((3, 4, 6, 3, 3), 'first_stages', r'but got \(3, 4, 6, 3, 3\)'),
        ((3, 4, 6), 'nearest', r"must have 4 stages for rule 'nearest', but got \(3, 4, 6\); 'first_stages' leaves"),
        ((3, 4, 0, 3), 'nearest', r'`blocks_per_stage` must be positive whole numbers, but got \(3, 4, 0, 3\)'),
        ((3, 4, 6.0, 3), 'nearest', r'`blocks_per_stage` must be positive whole numbers'),
        ((), 'first_stages', r'`blocks_per_stage` must be positive whole numbers, but got \(\)'),
        (R101, 'closest', r"`rule` must be one of \('nearest', 'first_stages'\), but got 'closest'"),
        ((3, 4, 9999, 3), 'nearest', r'`scheme` must have at most 4096 connections'),
    ],
)
def test_what_a_rule_cannot_give_is_refused(layout, rule, match):
    with pytest.raises(ValueError, match=match):
        make_ticket().adapt(layout, rule)


# -- the ticket -----------------------------------------------------------------------------------


def test_what_was_the_other_backbones_is_left_out_and_the_rest_is_kept():
    old = make_ticket()
    new = old.adapt(blocks_per_stage=R101, rule='nearest')
    assert str(new.scheme) == '101 0110 11100000000011110000000 010'
    assert str(new.backbone) == 'ResNet, depth 101, blocks 3/4/23/3, channels 256/512/1024/2048'
    assert (new.origin, new.metrics, new.params, new.macs) == ('adapted', {}, None, None)
    for name in ('attention', 'sharing', 'seed', 'supernet_sha256', 'versions'):
        assert getattr(new, name) == getattr(old, name)
    assert new.notes == 'Of the ticket that was adapted: a note'
    (step,) = new.adapted_from
    assert dict(step) == dict(rule='nearest', origin='searched', scheme=old.scheme, backbone=old.backbone)
    assert old == make_ticket()


def test_every_field_is_either_kept_or_accounted_for():
    """A field added to the format must not slip through to a backbone that it does not describe."""
    kept = {'attention', 'sharing', 'seed', 'supernet_sha256', 'versions', 'format', 'version'}
    new = {'origin', 'scheme', 'backbone', 'adapted_from', 'notes'}
    assert set(Ticket.model_fields) - kept - new == {'metrics', 'params', 'macs'}


def test_a_chain_tells_every_step_and_marks_notes_once():
    old = make_ticket()
    middle = old.adapt(R101, 'nearest')
    new = middle.adapt(R101[:3], 'first_stages')
    assert [(step.rule, step.origin) for step in new.adapted_from] == [
        ('nearest', 'searched'),
        ('first_stages', 'adapted'),
    ]
    assert [step.scheme for step in new.adapted_from] == [old.scheme, middle.scheme]
    assert new.notes == middle.notes
    assert str(new.backbone) == 'ResNet, depth 101, blocks 3/4/23, channels 256/512/1024'
    assert new.seed == old.seed
    back = middle.adapt(R50.blocks_per_stage, 'nearest')
    assert (back.scheme, back.backbone, back.origin) == (old.scheme, old.backbone, 'adapted')
    assert (back.metrics, len(back.adapted_from)) == ({}, 2)


@pytest.mark.parametrize('rule', ['nearest', 'first_stages'])
def test_a_ticket_that_fits_already_is_left_alone(rule):
    ticket = make_ticket()
    assert ticket.adapt([3, 4, 6, 3], rule) is ticket
    assert ticket.adapt((3, 4, 6, 3), rule, depth=50) is ticket
    assert ticket.adapt((3, 4, 6, 3), rule, depth=51).backbone.depth == 51


def test_an_empty_note_stays_empty():
    assert make_ticket(notes='').adapt(R101, 'nearest').notes == ''


@quick
@given(st.data())
def test_an_adapted_ticket_is_read_as_it_was_written(data):
    ticket = make_for(data.draw(schemes()))
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            ticket = ticket.adapt(data.draw(layouts_like(ticket.scheme)), 'nearest')
        else:
            count = data.draw(st.integers(1, len(ticket.scheme.stages)))
            depth = data.draw(st.none() | st.just(3 * sum(ticket.scheme.blocks_per_stage[:count]) + 2))
            ticket = ticket.adapt(ticket.scheme.blocks_per_stage[:count], 'first_stages', depth)
            if depth is None and ticket.backbone.depth != 3 * sum(ticket.scheme.blocks_per_stage) + 2:
                break  # with stages left away its blocks no longer tell the depth
    text = ticket.to_json()
    assert Ticket.from_json(text) == ticket
    assert Ticket.from_json(text).to_json() == text


def test_each_step_is_a_line_of_the_file():
    text = make_ticket().adapt(R101, 'nearest').adapt((3, 4), 'first_stages').to_json()
    start = text.index('  "adapted_from": [\n')
    assert text[start:].splitlines()[1:4] == [
        '    {"rule": "nearest", "origin": "searched", "scheme": "101 0110 100100 010", "backbone": {"type": "ResNet", '
        '"depth": 50, "blocks_per_stage": [3, 4, 6, 3], "channels": [256, 512, 1024, 2048]}},',
        '    {"rule": "first_stages", "origin": "adapted", "scheme": "101 0110 11100000000011110000000 010", "backbone": '
        '{"type": "ResNet", "depth": 101, "blocks_per_stage": [3, 4, 23, 3], "channels": [256, 512, 1024, 2048]}}',
        '  ],',
    ]
    assert text.index('"backbone"') < start < text.index('"attention"')


# -- the depth ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('depth', 'old', 'new', 'expected'),
    [
        (50, (3, 4, 6, 3), (3, 8, 36, 3), 152),
        (152, (3, 8, 36, 3), (3, 4, 6, 3), 50),
        (18, (2, 2, 2, 2), (3, 4, 6, 3), 34),
        (20, (3, 3, 3), (18, 18, 18), 110),
        (164, (18, 18, 18), (3, 3, 3), 29),
        (None, (2, 6, 17, 2), (1, 3, 5, 2), None),
    ],
)
def test_the_depth_counts_the_layers_of_the_blocks(depth, old, new, expected):
    backbone = BackboneFingerprint(type='ResNet', depth=depth, blocks_per_stage=old, channels=WIDTHS[: len(old)])
    ticket = make_ticket(scheme=ConnectionScheme.all(old), backbone=backbone)
    assert ticket.adapt(new, 'nearest').backbone.depth == expected
    assert ticket.adapt(new, 'nearest', depth=77).backbone.depth == 77
    assert ticket.adapt(old[:2], 'first_stages').backbone.depth == depth


@pytest.mark.parametrize('depth', [51, 18, 66])
def test_a_depth_that_the_blocks_do_not_tell_must_be_given(depth):
    ticket = make_ticket(backbone=R50.model_copy(update={'depth': depth}))
    match = rf'`depth` must be given .* but got None for a backbone of depth {depth} with \(3, 4, 6, 3\) blocks'
    with pytest.raises(TicketError, match=match):
        ticket.adapt(R101, 'nearest')
    assert ticket.adapt(R101, 'nearest', depth=9).backbone.depth == 9
    with pytest.raises(TicketError, match=r'`depth` must be greater than or equal to 1, but got 0'):
        ticket.adapt(R101, 'nearest', depth=0)


# -- refusals -------------------------------------------------------------------------------------


def tampered(change) -> str:
    fields = json.loads(make_ticket().adapt(R101, 'nearest').adapt(R101[:3], 'first_stages').to_json())
    change(fields)
    return json.dumps(fields)


def first(**changes):
    return lambda fields: fields['adapted_from'][0].update(changes)


def second(**changes):
    return lambda fields: fields['adapted_from'][1].update(changes)


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (lambda f: f.update(scheme='111 0110 11100000000011110000000'), r"`adapted_from.1` must lead to '101 0110 1"),
        (first(scheme='101 0110 100101 010'), r"`adapted_from.0` must lead to .* by rule 'nearest', but got '101 0110"),
        (first(rule='first_stages'), r"`adapted_from.0.rule` must be possible, but got 'first_stages': `blocks_per"),
        (first(rule='other'), r"`adapted_from.0.rule` must be 'nearest' or 'first_stages', but got 'other'"),
        (first(origin='adapted'), r"`adapted_from.0.origin` must be 'adapted' after the first step alone"),
        (second(origin='quoted'), r"`adapted_from.1.origin` must be 'adapted' after the first step alone, but got 'qu"),
        (second(scheme='12'), r"`adapted_from.1.scheme` must hold '0', '1'"),
        (second(scheme='1 1'), r'`adapted_from.1.scheme` must have \(3, 4, 23, 3\) blocks per stage'),
        (second(surprise=1), r'`adapted_from.1.surprise` must not be given, but got 1'),
        (second(backbone=[]), r'`adapted_from.1.backbone` must be an object, but got \[\]'),
        (
            lambda f: f['adapted_from'][1]['backbone'].update(depth='101'),
            r'`adapted_from.1.backbone.depth` must be a va',
        ),
        (
            lambda f: f['adapted_from'][0]['backbone'].update(channels=[256, 512, 1024, 999]),
            r"`adapted_from.0.backbone` must have type and widths of the next, but got 'ResNet, .*999' before 'ResNet",
        ),
        (lambda f: f['backbone'].update(type='ResNeXt'), r'`adapted_from.1.backbone` must have type and widths'),
        (lambda f: f['adapted_from'][0].pop('rule'), r'`adapted_from.0.rule` must be given'),
        (lambda f: f['adapted_from'].pop(0), r"`adapted_from.0.origin` must be 'adapted' after the first step alone"),
        (lambda f: f['adapted_from'].pop(), r"`adapted_from.0.rule` must be possible, but got 'nearest'"),
        (lambda f: f.update(adapted_from=[]), r"`origin` must be 'adapted' where .* but got 'adapted' with 0 steps"),
        (lambda f: f.pop('adapted_from'), r"`origin` must be 'adapted' where .* but got 'adapted' with 0 steps"),
        (lambda f: f.update(origin='searched'), r"`origin` must be 'adapted' where .* but got 'searched' with 2 steps"),
        (lambda f: f.update(adapted_from=None), r'`adapted_from` must be a list, but got None'),
        (lambda f: f.update(adapted_from=[3]), r'`adapted_from.0` must be an object, but got 3'),
    ],
)
def test_a_way_that_does_not_lead_here_is_refused(change, match):
    with pytest.raises(TicketError, match=match) as info:
        Ticket.from_json(tampered(change))
    assert len(str(info.value)) < 400


def test_a_change_by_hand_is_a_given_ticket():
    def change(fields):
        fields.update(scheme='111 0110 11100000000011110000000', origin='given')
        del fields['adapted_from']

    assert Ticket.from_json(tampered(change)).origin == 'given'


@pytest.mark.parametrize(
    ('changes', 'is_hinted'),
    [
        (dict(depth=101, blocks_per_stage=R101), True),
        (dict(blocks_per_stage=R101[:2], channels=WIDTHS[:2]), True),
        (dict(channels=(64, 128, 256, 512)), False),
        (dict(type='ResNeXt'), False),
    ],
)
def test_a_backbone_that_a_ticket_can_be_mapped_to_is_refused_with_a_hint(changes, is_hinted):
    other = BackboneFingerprint(**{**dict(R50), **changes})
    with pytest.raises(TicketError, match='search again for this backbone') as info:
        make_ticket().check_backbone(other)
    assert ('or map the ticket to it with tools/adapt_ticket.py.' in str(info.value)) == is_hinted

"""ConnectionScheme: three spellings of one choice, and what is refused."""

from __future__ import annotations

import dataclasses
import re
from itertools import islice, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ean_mm.structures import ConnectionScheme

RESNET50 = (3, 4, 6, 3)

# text, codes, connections of two published schemes
PUBLISHED = [
    ('100 1011 010011 011', (4, 11, 19, 3), 9),
    ('110 0011 110010 011', (6, 3, 50, 3), 9),
]

layouts = st.lists(st.integers(1, 12), min_size=1, max_size=6).map(tuple)


def bits_of(text: str) -> list[bool]:
    return [letter == '1' for letter in text.replace(' ', '')]


# -- spellings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(('text', 'codes', 'num_connected'), PUBLISHED)
def test_published_schemes_agree_in_every_spelling(text, codes, num_connected):
    scheme = ConnectionScheme.parse(text, RESNET50)
    assert scheme == ConnectionScheme.from_codes(codes, RESNET50)
    assert scheme == ConnectionScheme.from_mask(bits_of(text), RESNET50)
    assert scheme == ConnectionScheme.from_string(text)
    assert str(scheme) == text
    assert scheme.codes == codes
    assert scheme.mask.tolist() == bits_of(text)
    assert scheme.num_connected == num_connected
    assert scheme.sparsity == 0.4375


def test_most_significant_bit_is_the_first_block():
    scheme = ConnectionScheme.from_codes((4, 0, 0, 1), RESNET50)
    assert str(scheme) == '100 0000 000000 001'
    assert scheme.mask.nonzero()[0].tolist() == [0, 15]


def test_counts_by_hand():
    scheme = ConnectionScheme.from_string('101 0110 100100 010')
    assert scheme.blocks_per_stage == RESNET50
    assert scheme.connected_per_stage == (2, 2, 2, 1)
    assert (scheme.num_connections, scheme.num_connected) == (16, 7)
    assert (scheme.density, scheme.sparsity) == (7 / 16, 9 / 16)


def test_all_and_none_as_words_masks_and_codes():
    everything, nothing = ConnectionScheme.all(RESNET50), ConnectionScheme.none(RESNET50)
    assert ConnectionScheme.parse('all', RESNET50) == everything
    assert ConnectionScheme.parse('none', RESNET50) == nothing
    assert ConnectionScheme.from_mask([True] * 16, RESNET50) == everything
    assert ConnectionScheme.from_mask(np.zeros(16, dtype=bool), RESNET50) == nothing
    assert everything.codes == (7, 15, 63, 7)
    assert nothing.codes == (0, 0, 0, 0)
    assert (everything.density, nothing.density) == (1.0, 0.0)


@pytest.mark.parametrize(
    'mask',
    [
        [1, 0, 1],
        (True, False, True),
        np.array([1, 0, 1]),
        np.array([1, 0, 1], dtype=np.uint8),
        np.array([True, False, True]),
        [np.bool_(True), np.int64(0), 1],
        iter([True, False, True]),
    ],
)
def test_masks_of_every_whole_kind(mask):
    assert str(ConnectionScheme.from_mask(mask, (1, 2))) == '1 01'


@settings(max_examples=500, deadline=None, database=None)
@given(st.data())
def test_spellings_round_trip(data):
    layout = data.draw(layouts)
    mask = data.draw(st.lists(st.booleans(), min_size=sum(layout), max_size=sum(layout)))
    scheme = ConnectionScheme.from_mask(mask, layout)
    assert ConnectionScheme.parse(str(scheme), layout) == scheme
    assert ConnectionScheme.from_codes(scheme.codes, layout) == scheme
    assert scheme.mask.tolist() == mask
    assert scheme.num_connected == sum(mask)
    assert sum(scheme.connected_per_stage) == sum(mask)


@pytest.mark.parametrize('layout', [(1,), (3,), (1, 1), (2, 3), (1, 2, 1)])
def test_every_scheme_comes_once_and_counts_up(layout):
    schemes = list(ConnectionScheme.every(layout))
    assert [tuple(scheme.mask.tolist()) for scheme in schemes] == list(product((False, True), repeat=sum(layout)))
    assert {scheme.blocks_per_stage for scheme in schemes} == {layout}
    assert [int(str(scheme).replace(' ', ''), 2) for scheme in schemes] == list(range(2 ** sum(layout)))


def test_every_scheme_of_a_large_network_is_made_when_it_is_asked_for():
    first = list(islice(ConnectionScheme.every((30, 30)), 2))
    assert [str(scheme) for scheme in first] == [f'{"0" * 30} {"0" * 30}', f'{"0" * 30} {"0" * 29}1']


# -- a value --------------------------------------------------------------------------------------


def test_immutable_hashable_and_equal_by_value():
    scheme = ConnectionScheme.from_string('10 1')
    with pytest.raises(dataclasses.FrozenInstanceError):
        scheme.stages = ((True,),)
    assert len({scheme, ConnectionScheme.from_mask([1, 0, 1], (2, 1))}) == 1
    assert scheme != ConnectionScheme.from_string('1 01')


def test_mask_is_a_copy():
    scheme = ConnectionScheme.none((2,))
    scheme.mask[:] = True
    assert str(scheme) == '00'


# -- refusals -------------------------------------------------------------------------------------


def test_parse_names_the_letter_and_its_index():
    with pytest.raises(ValueError, match=r"`scheme` must hold '0', '1' .* got '2' at index 5"):
        ConnectionScheme.parse('101 0210 100100 010', RESNET50)


@pytest.mark.parametrize('text', ['101 0110 100100', '1010110100100010', '1010 110 100100 010', '1', 'all none'])
def test_parse_shows_both_layouts(text):
    with pytest.raises(ValueError, match=r'`scheme` must'):
        ConnectionScheme.parse(text, RESNET50)
    if set(text) <= set('01 '):
        with pytest.raises(ValueError, match=r'3/4/6/3 bits per stage, but got .* with \d'):
            ConnectionScheme.parse(text, RESNET50)


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('', r"must be a text like '101 .*', but got ''"),
        (None, r'must be a text .*, but got None'),
        (5, r'must be a text .*, but got 5'),
        (b'101', r"must be a text .*, but got b'101'"),
        ('101  0110', r'single spaces between stages .*; stage 2 is empty'),
        (' 101', r'; stage 1 is empty'),
        ('101 ', r'; stage 2 is empty'),
        ('101\t0110', r"got '\\t' at index 3"),
        ('ALL', r"got 'A' at index 0"),
        ('1\u06601', r"got '\u0660' at index 1"),
        ('0b1', r"got 'b' at index 1"),
        ('-1', r"got '-' at index 0"),
    ],
)
def test_from_string_refuses(text, match):
    with pytest.raises(ValueError, match=match):
        ConnectionScheme.from_string(text)
    with pytest.raises(ValueError, match=match):
        ConnectionScheme.parse(text, (3, 4))


@pytest.mark.parametrize(
    ('mask', 'match'),
    [
        ([], r'must have 3 entries \(1/2 blocks per stage\), but got 0'),
        ([True], r'must have 3 entries .* got 1'),
        ([True] * 4, r'must have 3 entries .* got 4'),
        ([True] * 10**6, r'must have 3 entries .* got 1000000'),
        (np.ones(10**6, dtype=bool), r'must have 3 entries .* got 1000000'),
        ([0, 2, 0], r'must hold booleans, 0 or 1, but got 2 at index 1'),
        ([0, 0, -1], r'but got -1 at index 2'),
        ([1.0, 0, 0], r'but got 1.0 at index 0'),
        (np.array([0.0, 1.0, 0.0]), r'but got 0.0 at index 0'),
        ([0, float('nan'), 0], r'but got nan at index 1'),
        (['1', '0', '1'], r"but got '1' at index 0"),
        ([True, None, True], r'but got None at index 1'),
        ([[True], [True], [True]], r'but got \[True\] at index 0'),
        (np.ones((3, 1), dtype=bool), r'but got \[True\] at index 0'),
        (np.ones((1, 3), dtype=bool), r'must have 3 entries .* got 1'),
        (np.bool_(True), r'`mask` must be one boolean per block'),
        ('101', r"`mask` must be one boolean per block, but got '101'"),
        (b'101', r'`mask` must be one boolean per block'),
        ({0: True}, r'`mask` must be one boolean per block'),
        (None, r'`mask` must be one boolean per block, but got None'),
        (7, r'`mask` must be one boolean per block, but got 7'),
    ],
)
def test_from_mask_refuses(mask, match):
    with pytest.raises(ValueError, match=match):
        ConnectionScheme.from_mask(mask, (1, 2))


def test_messages_stay_short():
    with pytest.raises(ValueError, match='must have') as info:
        ConnectionScheme.from_mask([True] * 10**6, (3, 4))
    assert len(str(info.value)) < 400
    with pytest.raises(ValueError, match='must have') as info:
        ConnectionScheme.parse('1' * 10**6, (3, 4))
    assert len(str(info.value)) < 400


@pytest.mark.parametrize(
    ('codes', 'match'),
    [
        ((8, 0), r'whole numbers from 0 to 2\^blocks - 1 \(7 here\), but got 8 for stage 1'),
        ((0, 16), r'\(15 here\), but got 16 for stage 2'),
        ((-1, 0), r'but got -1 for stage 1'),
        ((True, 0), r'but got True for stage 1'),
        ((1.0, 0), r'but got 1.0 for stage 1'),
        (('1', 0), r"but got '1' for stage 1"),
        ((2**5000, 0), r'for stage 1'),
        ((1,), r'must have 2 entries, one per stage, but got 1'),
        ((1, 2, 3), r'must have 2 entries, one per stage, but got 3'),
    ],
)
def test_from_codes_refuses(codes, match):
    with pytest.raises(ValueError, match=match):
        ConnectionScheme.from_codes(codes, (3, 4))


@pytest.mark.parametrize('layout', [(), (0,), (3, -1), (3, 1.0), (True,), ('3',)])
def test_layout_must_be_positive_whole_numbers(layout):
    with pytest.raises(ValueError, match='`blocks_per_stage` must be positive whole numbers'):
        ConnectionScheme.all(layout)
    with pytest.raises(ValueError, match='`blocks_per_stage` must be positive whole numbers'):
        ConnectionScheme.from_mask([True], layout)
    with pytest.raises(ValueError, match='`blocks_per_stage` must be positive whole numbers'):
        ConnectionScheme.every(layout)


@pytest.mark.parametrize(
    ('stages', 'match'),
    [
        ((), 'must be a tuple of non-empty tuples'),
        (((),), 'must be a tuple of non-empty tuples'),
        ([(True,)], 'must be a tuple of non-empty tuples'),
        (((True, 1),), r'must hold booleans, but got 1 for block 1'),
        (((True,), ('0',)), r"must hold booleans, but got '0' for block 1"),
    ],
)
def test_constructor_refuses(stages, match):
    with pytest.raises(ValueError, match=match):
        ConnectionScheme(stages)


@settings(max_examples=500, deadline=None, database=None)
@given(st.one_of(st.text('01 2a\n', max_size=40), st.text(max_size=20)), layouts)
def test_any_text_is_read_back_as_written_or_refused(text, layout):
    message = ''
    try:
        spellings = {str(ConnectionScheme.parse(text, layout)), 'all', 'none'}
    except ValueError as err:
        message, spellings = str(err), {text}
    assert text in spellings
    assert re.fullmatch(r'(`scheme` must .*, but got .*)?', message, re.DOTALL)

"""Controls: what every ticket has to beat."""

import numpy as np
import pytest

from ean_mm.analysis import choose_controls, choose_random
from ean_mm.analysis.controls import count_of_size
from ean_mm.structures import ConnectionScheme

LAYOUT = (3, 4, 6, 3)
TICKET = ConnectionScheme.from_string('101 0000 000001 010')


def random_ones(controls):
    return [scheme for name, scheme in controls.items() if name.startswith('random')]


def test_named_and_random_ones():
    controls = choose_controls(LAYOUT, TICKET, seed=0)
    assert str(controls['last stage']) == '000 0000 000000 111'
    assert str(controls['every other']) == '101 0101 010101 010'
    drawn = random_ones(controls)
    assert len(set(drawn)) == 20
    assert {scheme.num_connected for scheme in drawn} == {4}
    assert TICKET not in drawn
    assert choose_controls(LAYOUT, TICKET, seed=0) == controls != choose_controls(LAYOUT, TICKET, seed=1)


def test_fixed_bits_hold_in_random_ones_and_few_are_all():
    fixed = {0: True, **dict.fromkeys(range(6, 16), False)}
    controls = choose_controls(LAYOUT, ConnectionScheme.from_string('110 0000 000000 000'), 0, fixed)
    drawn = random_ones(controls)
    expected = [ConnectionScheme.from_mask([i in (0, bit) for i in range(16)], LAYOUT) for bit in (2, 3, 4, 5)]
    assert set(drawn) == set(expected)
    assert count_of_size(16, 2, fixed) == 5


@pytest.mark.parametrize(('size', 'num'), [(0, 0), (16, 0), (1, 15), (15, 15), (2, 20)])
def test_where_there_are_fewer(size, num):
    ticket = ConnectionScheme.from_mask(np.arange(16) < size, LAYOUT)
    assert len(random_ones(choose_controls(LAYOUT, ticket, seed=3))) == num


def test_every_scheme_of_a_size_is_as_likely():
    counts = np.zeros(6)
    for seed in range(600):
        for scheme in choose_random((2, 2), 2, seed, num=2):
            pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
            counts[pairs.index(tuple(np.flatnonzero(scheme.mask).tolist()))] += 1
    assert counts.sum() == 1200
    assert np.abs(counts - 200).max() < 45


def test_one_stage_has_no_last_one_and_one_block_no_others():
    assert set(choose_controls((4,), ConnectionScheme.from_string('0100'), 0)) == {
        'none',
        'all',
        'every other',
        'random 1',
        'random 2',
        'random 3',
    }
    assert set(choose_controls((1,), ConnectionScheme.from_string('1'), 0)) == {'none', 'all'}


def test_a_size_that_fixed_bits_rule_out():
    assert choose_random(LAYOUT, 0, 0, {3: True}) == []
    assert count_of_size(16, 0, {3: True}) == 0

"""Numbers become places."""

import pytest

from ean_mm.report.plots import Axis, Bar, Bars, Plot, Series


def test_ticks_are_round_and_inside():
    axis = Axis.around('reward', [84.9, 96.7])
    assert [name for _, name in axis.ticks] == ['85', '90', '95']
    assert all(0 <= place <= 100 for place, _ in axis.places())
    assert 3 <= len(Axis.around('x', [0.0, 0.0421]).ticks) <= 6


@pytest.mark.parametrize('value', [0.0, -5.0, 1e6])
def test_one_value_has_room_around_it(value):
    axis = Axis.around('x', [value])
    assert axis.low < value < axis.high
    assert axis.place(value) == 50


def test_whole_numbers_have_whole_ticks():
    assert [name for _, name in Axis.around('step', [1, 3], is_whole=True).ticks] == ['1', '2', '3']


def test_what_lies_outside_is_drawn_at_the_edge():
    axis = Axis('x', 0.0, 10.0)
    assert [axis.place(value) for value in (-3, 0, 2.5, 10, 99)] == [0, 0, 25, 100, 100]


def test_height_grows_upwards_and_a_step_keeps_it_until_the_next_point():
    plot = Plot('', '', Axis('x', 0, 10), Axis('y', 0, 10), [])
    line = Series('', 'best', [(0, 0), (5, 10)], is_line=True)
    assert plot.path(line) == 'M0 100L50 0'
    assert plot.path(Series('', 'best', line.points, is_line=True, is_stepped=True)) == 'M0 100H50V0'


def test_bars_share_an_axis_that_shows_zero_and_every_interval():
    bars = Bars.around('', 'difference', [Bar('a', 3.0, 2.0, 4.0, ''), Bar('b', 5.0, None, None, '')], zero=0.0)
    assert bars.axis.low < 0 < bars.axis.high
    assert bars.axis.high > 5
    assert bars.line == bars.axis.place(0)
    assert bars.ends(bars.bars[0]) == (bars.axis.place(2), bars.axis.place(4))
    assert bars.ends(bars.bars[1]) is None

"""The figure shows the data it is given."""

import warnings

import numpy as np
import pytest

from ean_mm.visualization import ScoredScheme, draw_search


def make(bits, metric, reward):
    return ScoredScheme(np.array([bit == '1' for bit in bits]), metric, reward)


SCHEMES = [make('0000', 60, 62), make('1111', 61, 61), make('1000', 64, 65.5), make('1010', 63, 64)]


@pytest.fixture
def axes():
    return draw_search(SCHEMES, (2, 2), SCHEMES[2].mask, 'accuracy/top1').axes


def test_history_shows_every_scheme_and_the_best_so_far(axes):
    points, best = axes[0].lines
    assert list(points.get_ydata()) == [62, 61, 65.5, 64]
    assert list(best.get_ydata()) == [62, 62, 65.5, 65.5]


def test_spread_marks_none_all_and_ticket(axes):
    marks = {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axes[1].lines[1:]}
    assert marks == {'none': (0, 60), 'all': (4, 61), 'ticket': (1, 64)}


def test_blocks_count_the_best_quarter(axes):
    assert [bar.get_height() for bar in axes[2].patches] == [1, 0, 0, 0]
    assert axes[2].get_ylim() == (0, 1)


def test_estimates_are_hollow_and_count_for_nothing_else(tmp_path):
    dropped = [ScoredScheme(np.array([True] * 3 + [False]), 90.0, 95.0, is_partial=True)]
    figure = draw_search(SCHEMES + dropped, (2, 2), SCHEMES[2].mask, 'accuracy/top1')
    history, spread, blocks = figure.axes
    points, estimates, best = history.lines
    assert (points.get_fillstyle(), estimates.get_fillstyle()) == ('full', 'none')
    assert (estimates.get_xdata(), estimates.get_ydata()) == ([5], [95])
    assert list(points.get_ydata()) == [62, 61, 65.5, 64]
    assert list(best.get_ydata()) == [62, 62, 65.5, 65.5, 65.5]
    assert (spread.lines[1].get_xdata(), spread.lines[1].get_ydata()) == ([3], [90])
    assert spread.lines[1].get_fillstyle() == 'none'
    assert [bar.get_height() for bar in blocks.patches] == [1, 0, 0, 0]
    figure.savefig(tmp_path / 'x.png')


def test_a_ticket_without_connections_has_no_star(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # matplotlib gives up its layout with a warning only
        figure = draw_search(SCHEMES, (2, 2), SCHEMES[0].mask, 'm')
        figure.savefig(tmp_path / 'x.png')
    assert not [line for line in figure.axes[2].lines if line.get_label() == 'ticket']


def test_a_search_without_ticket_is_drawn_too(tmp_path):
    draw_search(SCHEMES[:1], (2, 2), None, 'm').savefig(tmp_path / 'x.png')
    assert (tmp_path / 'x.png').stat().st_size > 0

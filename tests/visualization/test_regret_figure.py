"""The figure shows the quartiles of what it is given."""

import numpy as np
import pytest

from ean_mm.visualization import draw_regrets

INF = float('inf')


def read(figure):
    (axes,) = figure.axes
    (median,) = axes.lines
    (band,) = axes.collections
    return axes, median, band.get_paths()[0].vertices


def test_the_median_over_searches_with_the_quartiles_around_it():
    axes, median, band = read(draw_regrets([[4, 4, 0], [5, 2, 1], [6, 3, 2], [7, 1, 1], [8, 0, 0]], 'Five'))
    assert median.get_xdata().tolist() == [1, 2, 3]
    assert median.get_ydata().tolist() == [6, 2, 1]
    assert {(1.0, 5.0), (1.0, 7.0), (2.0, 1.0), (2.0, 3.0), (3.0, 0.0)} <= {tuple(point) for point in band.tolist()}
    assert (axes.get_title(), axes.get_ylim()[0], median.get_label()) == ('Five', 0, 'median of 5 seeds')


def test_a_search_that_has_ended_keeps_its_regret():
    _, median, _ = read(draw_regrets([[3, 1], [9, 8, 7, 5]], ''))
    assert median.get_ydata().tolist() == [6, 4.5, 4, 3]


@pytest.mark.parametrize('curves', [[[INF, 2, 1], [3, 2, 1]], [[INF, 2, 1], [INF, 2, 1]]])
def test_nothing_is_drawn_where_a_search_has_nothing_to_show(curves, tmp_path):
    figure = draw_regrets(curves, '')
    _, median, band = read(figure)
    assert median.get_xdata().tolist() == [2, 3]
    assert np.isfinite(band).all()
    figure.savefig(tmp_path / 'x.png')

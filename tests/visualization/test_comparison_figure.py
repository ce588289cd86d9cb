"""The figure shows every seed, the mean and its interval."""

from dataclasses import replace

import pytest

from ean_mm.visualization import ComparisonRow, draw_comparison

ROW = ComparisonRow('none', ('00',), (0, 1, 2), (70.0, 72.0, 74.0), 72.0, 67.0, 77.0, 0, 1, 1, 1, 1.0)


def test_dots_mean_and_interval():
    single = replace(
        ROW, name='ticket', schemes=('10',), values=(80.0,), mean=80.0, low=None, high=None, num_connected=1
    )
    (axes,) = draw_comparison([ROW, single], 'acc').axes
    dots = [line for line in axes.lines if line.get_marker() == 'o']
    assert [list(dot.get_ydata()) for dot in dots[:1]] == [[70, 72, 74]]
    assert list(dots[1].get_ydata()) == [80]
    means = [line.get_ydata() for line in axes.lines if line.get_linewidth() == 2]
    assert [list(each) for each in means] == [[72, 72], [80, 80]]
    (bars,) = [container for container in axes.containers if container.has_yerr]
    (segment,) = bars.lines[2][0].get_segments()
    assert segment[:, 1].tolist() == pytest.approx([67, 77])
    assert [label.get_text() for label in axes.get_xticklabels()] == ['none\n0 on', 'ticket\n1 on']
    assert axes.get_ylabel() == 'acc'

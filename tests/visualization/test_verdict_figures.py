"""Verdict, effects and keep-probabilities show what they are given."""

import warnings

import numpy as np
import pytest

from ean_mm.visualization import ComparisonBar, ControlPoint, EffectBar, draw_effects, draw_keep, draw_verdict

RANDOM = [ControlPoint(f'random {i}', 60 + i / 10) for i in range(1, 6)]
CONTROLS = [ControlPoint('none', 60.0), ControlPoint('all', 61.0), *RANDOM]
COMPARISONS = [ComparisonBar('random', 1.0, 0.5, 1.6, 1.4), ComparisonBar('none', 2.0, 1.0, 3.0, 2.5)]
TICKET = np.array([True, False, False, True])


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # matplotlib gives up its layout with a warning only
        yield


def test_controls_random_strip_and_ticket(tmp_path):
    figure = draw_verdict(CONTROLS, 62.5, COMPARISONS, 'accuracy/top1', 'Better than random.')
    scores, differences = figure.axes
    named, strip, mean, ticket, _ = scores.lines
    assert list(named.get_xdata()) == [60, 61]
    assert list(strip.get_xdata()) == pytest.approx([60.1, 60.2, 60.3, 60.4, 60.5])
    assert list(mean.get_xdata()) == pytest.approx([60.3])
    assert list(ticket.get_xdata()) == [62.5]
    assert [label.get_text() for label in scores.get_yticklabels()] == ['none', 'all', 'random', 'ticket']
    ends = [segment[:, 0].tolist() for segment in differences.collections[0].get_segments()]
    assert ends == [[0.5, 1.6], [1.0, 3.0]]
    fair, found, _ = differences.lines
    assert (list(fair.get_xdata()), list(found.get_xdata())) == ([1.0, 2.0], [1.4, 2.5])
    assert figure.get_suptitle() == 'Better than random.'
    figure.savefig(tmp_path / 'x.png')


def test_without_random_schemes(tmp_path):
    figure = draw_verdict(CONTROLS[:2], 62.5, COMPARISONS[1:], 'm', 'There are no random schemes.')
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ['none', 'all', 'ticket']
    figure.savefig(tmp_path / 'x.png')


@pytest.mark.parametrize('ticket', [TICKET, ~np.zeros(4, bool), np.zeros(4, bool)])
def test_effects_of_blocks(tmp_path, ticket):
    flips = [EffectBar(-1.0 * bit, -1.0 * bit - 0.5, -1.0 * bit + 0.5) for bit in range(4)]
    shapley = [EffectBar(2.0, 1.0, 3.0)] * 4
    figure = draw_effects(flips, shapley, (2, 2), ticket, 'accuracy/top1')
    left, right = figure.axes
    heights = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in left.patches}
    assert heights == {0: 0.0, 1: -1.0, 2: -2.0, 3: -3.0}
    ends = [segment[:, 1].tolist() for segment in right.collections[0].get_segments()]
    assert ends == [[1.0, 3.0]] * 4
    edges = [line.get_xdata()[0] for line in left.lines if line.get_linestyle() == ':']
    assert edges == [1.5]
    figure.savefig(tmp_path / 'x.png')


@pytest.mark.parametrize(('num_steps', 'num_rows'), [(1, 1), (7, 7), (1000, 400)])
def test_keep_probabilities(tmp_path, num_steps, num_rows):
    table = np.linspace(0, 1, num_steps)[:, None] * np.array([1.0, 0.5, 0.0, 1.0])
    figure = draw_keep(table, (2, 2), TICKET)
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (num_rows, 4)
    assert np.array_equal(shown[[0, -1]], table[[0, -1]])
    stars = next(line for line in figure.axes[0].lines if line.get_marker() == '*')
    assert list(stars.get_xdata()) == [0, 3]
    figure.savefig(tmp_path / 'x.png')


def test_a_ticket_without_connections_has_no_star():
    figure = draw_keep([[0.1, 0.2]], (2,), np.zeros(2, bool))
    assert not [line for line in figure.axes[0].lines if line.get_marker() == '*']

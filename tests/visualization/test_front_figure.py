"""The figure shows the front and the best of every size as it was told."""

import pytest

from ean_mm.search import AddedCost, AddedCosts, Candidates, Evaluation, SearchSpace
from ean_mm.structures import ConnectionScheme
from ean_mm.visualization import FrontScheme, draw_candidates, draw_front

NONE = FrontScheme(0, 70.0, 10.0, is_best_of_size=True, is_on_front=True)
TICKET = FrontScheme(1, 75.0, 11.0, is_best_of_size=True, is_on_front=True)
ALL = FrontScheme(2, 71.0, 12.0, is_best_of_size=True)
CHEAP = FrontScheme(1, 72.0, 10.5, is_on_front=True)
OTHER = FrontScheme(1, 65.0, 11.5)
SCHEMES = [ALL, TICKET, OTHER, NONE, CHEAP]


def lines(figure):
    (axes,) = figure.axes
    return axes, {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_every_scheme_is_drawn_once_and_the_front_in_order(tmp_path):
    figure = draw_front(SCHEMES, {'none': NONE, 'all': ALL, 'ticket': TICKET}, 'accuracy/top1', 'latency (ms)')
    axes, drawn = lines(figure)
    assert drawn['scheme'] == [[11.5, 65.0], [10.5, 72.0]]
    assert drawn['best of its size (number: connections)'] == [[12.0, 71.0], [11.0, 75.0], [10.0, 70.0]]
    assert drawn['front'] == [[10.0, 70.0], [10.5, 72.0], [11.0, 75.0]]
    assert {text.get_text(): tuple(text.xy) for text in axes.texts} == {
        '0': (10.0, 70.0),
        '1': (11.0, 75.0),
        '2': (12.0, 71.0),
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('latency (ms)', 'accuracy/top1')
    figure.savefig(tmp_path / 'front.png')


def test_marks_are_those_given():
    _, drawn = lines(draw_front([NONE], {'none': NONE}, 'mIoU', 'MACs'))
    assert drawn['none'] == [[10.0, 70.0]]
    assert drawn['scheme'] == []
    assert not {'all', 'ticket'} & set(drawn)


@pytest.mark.parametrize(
    ('name', 'unit', 'label'), [('latency', 1, 'latency of one image (ms)'), ('macs', 1e6, 'MMACs of')]
)
def test_candidates_of_a_search(name, unit, label):
    metrics = {'0 0': 70.0, '1 0': 75.0, '0 1': 72.0, '1 1': 71.0}
    scored = [Evaluation(ConnectionScheme.from_string(bits), 'proposal', 0, m, m) for bits, m in metrics.items()]
    costs = AddedCosts(2, {name: AddedCost(10.0 * unit, (1.0 * unit, 0.5 * unit))})
    candidates = Candidates('mIoU', SearchSpace((1, 1), min_connected=1), costs, scored)
    axes, drawn = lines(draw_candidates(candidates, ConnectionScheme.from_string('1 0')))
    assert drawn['front'] == [[10.5, 72.0], [11.0, 75.0]]
    assert drawn['best of its size (number: connections)'] == [[11.0, 75.0], [11.5, 71.0]]
    # too small to be a ticket, and marked all the same
    assert (drawn['none'], drawn['all'], drawn['ticket']) == ([[10.0, 70.0]], [[11.5, 71.0]], [[11.0, 75.0]])
    assert axes.get_xlabel().startswith(label)

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ean_mm.search import (
    AddedCost,
    AddedCosts,
    Candidates,
    Evaluation,
    Limits,
    SearchSpace,
    best_per_size,
    pareto_front,
    read_candidates,
    write_front,
)
from ean_mm.structures import ConnectionScheme, Ticket

LAYOUT = (2, 2)
COSTS = AddedCosts(
    4,
    {
        'params': AddedCost(1000, (0, 0, 0, 0), ('a', 'a', 'b', 'b'), {'a': 10, 'b': 100}),
        'macs': AddedCost(500, (8, 8, 2, 2)),
        'latency': AddedCost(10.0, (1.0, 0.75, 0.5, 0.25)),
    },
)


def scored(bits, metric, role='proposal', bonus=0.0, **fields):
    scheme = ConnectionScheme.from_string(bits)
    return Evaluation(scheme, role, None, metric, None if metric is None else metric + bonus, **fields)


SCORED = [
    scored('00 00', 70.0, 'control'),
    scored('11 11', 71.0, 'control'),
    scored('10 00', 75.0),
    scored('00 01', 74.0),
    scored('10 01', 76.0),
    scored('01 01', 76.0, bonus=0.5),
    scored('11 01', 78.0),
    scored('00 10', 99.0, num_images=50),
    scored('01 00', None, reason='nan'),
    scored('01 10', 98.0, 'random'),
]


def offer(space=None, costs=COSTS, evaluations=SCORED):
    return Candidates('accuracy/top1', space or SearchSpace(LAYOUT), costs, evaluations)


def spell(evaluations):
    return [str(each.scheme) for each in evaluations]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_the_front_is_what_no_other_point_beats(points):
    def is_beaten(value, cost):
        return any(v >= value and c <= cost and (v, c) != (value, cost) for v, c in points)

    values, costs = [value for value, _ in points], [cost for _, cost in points]
    assert pareto_front(values, costs).tolist() == [not is_beaten(*point) for point in points]


def test_best_of_every_size_by_reward():
    assert spell(best_per_size(SCORED[:7])) == ['00 00', '10 00', '01 01', '11 01', '11 11']
    ties = [scored('10 01', 76.0), scored('01 10', 76.0)]
    assert spell(best_per_size(ties)) == ['01 10']
    assert best_per_size([]) == []


def test_estimates_failures_and_random_controls_are_no_candidates():
    assert spell(offer().evaluations) == ['00 00', '11 11', '10 00', '00 01', '10 01', '01 01', '11 01']


def test_only_what_is_allowed_is_offered():
    space = SearchSpace(LAYOUT, fixed='** *1', min_connected=2, limits=Limits({'latency': 11.2}, COSTS))
    assert spell(offer(space).evaluations) == ['01 01']


def test_the_front_is_drawn_against_latency_or_else_macs():
    assert spell(offer().front) == ['00 00', '00 01', '01 01', '11 01']
    counted = AddedCosts(4, {'macs': AddedCost(500, (1, 8, 8, 8))})
    assert (offer().front_cost, offer(costs=counted).front_cost) == ('latency', 'macs')
    assert spell(offer(costs=counted).front) == ['00 00', '10 00', '10 01', '11 01']


def test_costs_of_a_candidate():
    assert offer().describe(SCORED[4]) == dict(
        num_connected=2, scheme='10 01', metric=76.0, reward=76.0, params=1110, macs=510, latency_ms=11.25
    )
    assert offer(costs=AddedCosts(4)).describe(SCORED[4])['latency_ms'] is None


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_ticket_for_every_size_and_for_all_of_the_front(tmp_path, make_ticket):
    # at equal size, the front has another scheme than the reward prefers
    evaluations = [*SCORED, scored('00 11', 75.9)]
    candidates = offer(evaluations=evaluations)
    write_front(candidates, make_ticket, tmp_path)
    found = json.loads((tmp_path / 'front.json').read_text())
    assert [row['num_connected'] for row in found['best_per_size']] == [0, 1, 2, 3, 4]
    assert found['best_per_size'][2] == dict(candidates.describe(SCORED[5]), ticket='tickets/connections_02.json')
    assert found['front'] == ['00 00', '00 01', '00 11', '01 01', '11 01']
    assert [row['ticket'] for row in found['front_points']] == [
        'tickets/connections_00.json',
        'tickets/front_01.json',
        'tickets/front_02.json',
        'tickets/connections_02.json',
        'tickets/connections_03.json',
    ]
    for row in [*found['best_per_size'], *found['front_points']]:
        assert str(Ticket.load(tmp_path / row['ticket']).scheme) == row['scheme']


def test_tickets_of_an_earlier_search_go_and_other_files_stay(tmp_path, make_ticket):
    write_front(offer(), make_ticket, tmp_path)
    (tmp_path / 'tickets/mine.json').write_text('kept')
    write_front(offer(SearchSpace(LAYOUT, min_connected=3)), make_ticket, tmp_path)
    names = {path.name for path in (tmp_path / 'tickets').iterdir()}
    assert names == {'connections_03.json', 'connections_04.json', 'mine.json'}


def test_candidates_are_read_as_they_were_written(tmp_path, make_ticket):
    space = SearchSpace(LAYOUT, fixed='** *1', min_connected=1, limits=Limits({'latency': 11.5}, COSTS))
    written = offer(space)
    write_front(written, make_ticket, tmp_path)
    (tmp_path / 'search.jsonl').write_bytes(b''.join(each.to_line() for each in SCORED))
    read = read_candidates(tmp_path)
    assert read.evaluations == written.evaluations
    assert (read.metric, read.costs.to_dict(), read.front) == (written.metric, written.costs.to_dict(), written.front)
    masks = np.array([each.scheme.mask for each in SCORED])
    assert read.space.is_allowed(masks).tolist() == space.is_allowed(masks).tolist()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            dict(format='other'),
            r"but got '.*': `format` must be 'ean_mm\.costs', but got 'other'\. Run tools/search\.py first",
        ),
        (dict(version=2), r'`version` must be 1, but got 2\.'),
        (dict(limits=None), r'`limits` must be of type dict, but got None\.'),
        (
            dict(costs={'macs': {'bare': 1}}),
            r"`costs\.macs` must hold bare, bits, groups and group_costs, but got \{'bare",
        ),
        (dict(min_connected=9), r'`min_connected` must be at most the 4 connections there are, but got 9\.'),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, make_ticket, change, message):
    write_front(offer(), make_ticket, tmp_path)
    (tmp_path / 'search.jsonl').write_bytes(b'')
    fields = json.loads((tmp_path / 'costs.json').read_text())
    (tmp_path / 'costs.json').write_text(json.dumps({**fields, **change}))
    with pytest.raises(ValueError, match=message):
        read_candidates(tmp_path)


def test_no_search_at_all(tmp_path):
    with pytest.raises(ValueError, match=r"`work_dir` must hold a finished search, but got '.*': .*No such file"):
        read_candidates(tmp_path)

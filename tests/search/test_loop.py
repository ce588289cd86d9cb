"""The search: controls, memory, budget, reports, other searches."""

from __future__ import annotations

import json

import pytest
from toy_search import LAYOUT, Listed, Scores, files, lines, scheme_of

from ean_mm.search import (
    Evaluation,
    RandomSearch,
    Reward,
    SearchLoop,
    SearchRecord,
    SearchSpace,
    SearchStateError,
    one_by_one,
)
from ean_mm.structures import ConnectionScheme, Ticket

# -- order and memory ------------------------------------------------------------------------------


def test_controls_come_first_and_each_scheme_is_scored_once(run, tmp_path):
    scores, strategy = Scores(), Listed((8, 8, 15), (10, 8), (0, 10))
    result = run(strategy, scores)
    assert scores.calls == ['00 00', '11 11', '10 00', '10 10']
    assert [(line['role'], line['step'], line['scheme']) for line in lines(tmp_path / 'run')] == [
        ('control', None, '00 00'),
        ('control', None, '11 11'),
        ('proposal', 0, '10 00'),
        ('proposal', 1, '10 10'),
    ]
    # the strategy hears of every proposal, scored now, before, or as a control; not of the controls
    assert strategy.observed == [
        (0, ['1000', '1000', '1111'], [74.0, 74.0, 72.0]),
        (1, ['1010', '1000'], [76.0, 74.0]),
        (2, ['0000', '1010'], [70.0, 76.0]),
    ]
    assert (result.num_evaluations, result.num_distinct, result.num_failures) == (4, 4, 0)
    assert (result.num_steps, result.is_finished) == (3, True)


def test_the_result_names_best_controls_and_ranking(run, tmp_path):
    result = run(Listed((8, 10, 2), (1, 4, 11)), reward=Reward(sparsity_weight=4.0, offset=-70.0))
    # metric - 70: 8 -> 4, 10 -> 6, 2 -> 2, 1 -> -3, 4 -> -1, 11 -> 3; bonus: number of zeros
    assert result.best == Evaluation(scheme_of(10), 'proposal', 0, 76.0, 8.0)
    assert result.none == Evaluation(scheme_of(0), 'control', None, 70.0, 4.0)
    assert result.all == Evaluation(scheme_of(15), 'control', None, 72.0, 2.0)
    ranking = [(str(e.scheme), e.reward) for e in result.top]
    assert ranking == [
        ('10 10', 8.0),
        ('10 00', 7.0),
        ('00 10', 5.0),
        ('00 00', 4.0),
        ('10 11', 4.0),
    ]
    ticket = Ticket.load(tmp_path / 'run' / 'ticket.json')
    assert (str(ticket.scheme), ticket.metrics) == ('10 10', {'accuracy/top1': 76.0})


def test_ties_go_to_fewer_connections_then_to_the_bits(run):
    result = run(Listed((14, 7, 5), (3, 6, 12)), lambda scheme: 50.0, min_connected=2)
    assert [str(e.scheme) for e in result.top] == ['00 11', '01 01', '01 10', '11 00', '01 11']


def test_min_connected_keeps_small_schemes_from_the_ticket(run):
    result = run(Listed((8, 10, 14)), min_connected=3)
    assert str(result.best.scheme) == '11 10'
    assert {e.scheme.num_connected for e in result.top} == {3, 4}
    assert result.none.metric == 70.0


def test_all_is_the_first_ticket_and_none_can_be_one(run, tmp_path):
    seen = []

    def look(report):
        ticket = Ticket.load(tmp_path / 'run' / 'ticket.json')
        seen.append((report.step, str(ticket.scheme), str(report.best.scheme)))

    run(Listed((1,), (8,), (2,)), min_connected=1, on_step=look)
    assert seen == [
        (None, '11 11', '11 11'),
        (0, '11 11', '11 11'),
        (1, '10 00', '10 00'),
        (2, '10 00', '10 00'),
    ]
    result = run(Listed((1,)), lambda scheme: -scheme.num_connected, folder='other')
    assert result.best == result.none


def test_max_schemes_counts_controls_and_cuts_a_step(run):
    scores, strategy = Scores(), Listed((8, 0, 10, 2), (1,))
    result = run(strategy, scores, max_schemes=4)
    assert scores.calls == ['00 00', '11 11', '10 00', '10 10']
    assert strategy.observed == [(0, ['1000', '0000', '1010'], [74.0, 70.0, 76.0])]
    assert (result.is_finished, result.num_distinct) == (True, 4)


def test_the_search_ends_when_every_scheme_has_a_score(run):
    strategy = RandomSearch(4, samples_per_step=3, num_steps=10**9)
    result = run(strategy, max_schemes=100)
    assert (result.num_distinct, result.is_finished) == (16, True)
    assert result.num_steps <= 6


def test_num_steps_ends_a_search_that_proposes_nothing_new(run):
    result = run(Listed((8,)), Scores(), max_schemes=10)
    assert (result.num_distinct, result.is_finished) == (3, True)
    strategy = Listed(*[(8,)] * 7)
    assert run(strategy, folder='other', num_steps=4).num_steps == 4
    assert len(strategy.observed) == 4


def test_reports_say_where_the_search_stands(run):
    reports = []
    result = run(Listed((8, 8), (15, 0)), num_steps=2, max_schemes=8, on_step=reports.append)
    controls, first, second = reports
    assert (controls.step, first.step, second.step) == (None, 0, 1)
    assert [e.role for e in controls.evaluations] == ['control', 'control']
    assert [str(e.scheme) for e in first.evaluations] == ['10 00']
    assert second.evaluations == ()
    assert (first.mean_reward, second.mean_reward) == (74.0, 71.0)
    assert (first.mean_sparsity, second.mean_sparsity) == (0.75, 0.5)
    assert (first.num_distinct, first.max_distinct, first.num_steps) == (3, 8, 2)
    assert [report.progress for report in reports] == [2 / 8, 1 / 2, 1.0]
    assert first.summary == {'num_observed': 1.0}
    assert (first.best, first.num_failures) == (result.best, 0)
    assert all(report.seconds > 0 for report in reports)


def test_clocks_go_to_the_timing_file_alone(run, tmp_path):
    run(Listed((8,), (8,)))
    text = (tmp_path / 'run' / 'timing.jsonl').read_text()
    times = [json.loads(line) for line in text.splitlines()]
    assert [line['step'] for line in times] == [None, 0, 1]
    assert [(line['proposals'], line['scored']) for line in times] == [(2, 2), (1, 1), (1, 0)]
    assert all(0 < line['scoring'] < line['seconds'] for line in times)
    assert not any({'seconds', 'time'} & set(line) for line in lines(tmp_path / 'run'))


# -- other searches, wrong arguments ---------------------------------------------------------------


def test_another_search_in_the_folder_is_refused(run, tmp_path):
    run(Listed((8,)))
    before = files(tmp_path / 'run')
    with pytest.raises(SearchStateError, match=r"seed was '0' and is now '1'; continue with the old"):
        run(Listed((8,)), identity={'seed': '1'})
    assert files(tmp_path / 'run') == before


def test_another_layout_is_refused(tmp_path, make_ticket, run):
    run(Listed((8,)))
    with SearchRecord(tmp_path / 'run', {'seed': '0'}) as record:
        loop = SearchLoop(Listed((8,)), one_by_one(Scores()), Reward(), record, SearchSpace((1, 3)), make_ticket)
        with pytest.raises(SearchStateError, match=r'over \(1, 3\) blocks per stage, but got .*run'):
            loop.run()


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        ({'max_failures': 0}, r'`max_failures` must be a whole number of at least 1'),
        (
            {'warm_start': [ConnectionScheme.from_string('1 01')]},
            r"`warm_start` must hold schemes of \(2, 2\) blocks per stage .* but got '1 01'",
        ),
    ],
)
def test_arguments_out_of_range(tmp_path, make_ticket, arguments, match):
    record = SearchRecord(tmp_path, {})
    with pytest.raises(ValueError, match=match):
        SearchLoop(Listed((8,)), one_by_one(Scores()), Reward(), record, SearchSpace(LAYOUT), make_ticket, **arguments)


def test_a_strategy_for_another_layout(tmp_path, make_ticket):
    record = SearchRecord(tmp_path, {})
    with pytest.raises(ValueError, match=r'must propose 5 bits for \(2, 3\) blocks per stage, but g'):
        SearchLoop(Listed((8,)), one_by_one(Scores()), Reward(), record, SearchSpace((2, 3)), make_ticket)

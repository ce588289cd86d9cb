"""The search: each scheme scored once, failures not learned from, the same result however often it stops."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from ean_mm.search import (
    Evaluation,
    RandomSearch,
    Reinforce,
    Reward,
    SearchFailedError,
    SearchLoop,
    SearchRecord,
    SearchStateError,
    Strategy,
)
from ean_mm.structures import ConnectionScheme, Ticket

LAYOUT = (2, 2)
WEIGHTS = np.array([4.0, -1.0, 2.0, -3.0])


class Listed(Strategy):
    """Proposes given numbers in binary, and notes what it observes."""

    def __init__(self, *steps: tuple[int, ...]):
        super().__init__(4, num_steps=len(steps))
        self.steps = steps
        self.observed: list[tuple[int, list[str], list[float]]] = []

    def propose(self, step: int) -> np.ndarray:
        return np.array([[bit == '1' for bit in f'{number:04b}'] for number in self.steps[step]])

    def observe(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        super().observe(step, masks, rewards)
        texts = [''.join('01'[int(bit)] for bit in mask) for mask in masks]
        self.observed.append((step, texts, rewards.tolist()))

    def _learn(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        pass

    def state_dict(self) -> dict:
        return {'num_observed': len(self.observed)}

    def summary(self) -> dict[str, float]:
        return {'num_observed': float(len(self.observed))}


class Scores:
    """A linear metric that counts its calls; ``failing`` maps the number of a call to its answer."""

    def __init__(self, failing: dict | None = None):
        self.calls: list[str] = []
        self.failing = failing or {}

    def __call__(self, scheme: ConnectionScheme) -> float:
        self.calls.append(str(scheme))
        answer = self.failing.get(len(self.calls), self.failing.get('always'))
        if isinstance(answer, BaseException):
            raise answer
        return 70.0 + float(scheme.mask @ WEIGHTS) if answer is None else answer


def scheme_of(number: int) -> ConnectionScheme:
    return ConnectionScheme.from_codes((number >> 2, number & 3), LAYOUT)


def lines(directory) -> list[dict]:
    def refuse(constant):
        raise AssertionError(constant)

    text = (directory / 'search.jsonl').read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


@pytest.fixture
def make_ticket(toys):
    def make(evaluation: Evaluation) -> Ticket:
        backbone = toys.BackboneFingerprint(type='Toy', depth=None, blocks_per_stage=LAYOUT, channels=(8, 16))
        return Ticket(
            origin='searched',
            scheme=evaluation.scheme,
            backbone=backbone,
            attention={'type': 'ean_mm.SE'},
            sharing='stage',
            metrics={'accuracy/top1': evaluation.metric},
        )

    return make


@pytest.fixture
def run(tmp_path, make_ticket, warnings_logged):
    """Run a search in ``tmp_path`` (or a folder in it) and return its result."""

    def run(strategy, score=None, folder='run', identity=None, reward=None, **arguments):
        given = dict(reward=reward or Reward(), blocks_per_stage=LAYOUT, make_ticket=make_ticket)
        with SearchRecord(tmp_path / folder, identity or {'seed': '0'}) as record:
            loop = SearchLoop(strategy, score or Scores(), record=record, **given, **arguments)
            return loop.run()

    return run


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
    assert [len(line['scoring']) for line in times] == [2, 1, 0]
    assert all(line['seconds'] > 0 for line in times)
    assert not any({'seconds', 'time'} & set(line) for line in lines(tmp_path / 'run'))


# -- stopping and going on -------------------------------------------------------------------------

STEPS = ((8, 1), (8, 10), (3, 5), (12, 10), (14, 6))


def files(directory) -> tuple[bytes, bytes]:
    return (directory / 'search.jsonl').read_bytes(), (directory / 'ticket.json').read_bytes()


def test_a_finished_search_scores_nothing_again(run, tmp_path):
    first = run(Listed(*STEPS))
    before = {path: path.read_bytes() for path in (tmp_path / 'run').iterdir()}
    scores = Scores()
    assert run(Listed(*STEPS), scores) == first
    assert scores.calls == []
    assert {path: path.read_bytes() for path in (tmp_path / 'run').iterdir()} == before


def test_a_ticket_that_was_taken_away_comes_back(run, tmp_path):
    run(Listed(*STEPS))
    reference = files(tmp_path / 'run')
    (tmp_path / 'run' / 'ticket.json').unlink()
    run(Listed(*STEPS))
    assert files(tmp_path / 'run') == reference


def test_the_ticket_of_a_finished_search_may_be_edited(run, tmp_path):
    run(Listed(*STEPS))
    path = tmp_path / 'run' / 'ticket.json'
    edited = path.read_text().replace('"notes": ""', '"notes": "mine"')
    path.write_text(edited)
    run(Listed(*STEPS))
    assert path.read_text() == edited


@pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit, RuntimeError, MemoryError])
@pytest.mark.parametrize('call', range(1, 11))
def test_stopped_anywhere_by_an_exception_it_goes_on(run, tmp_path, call, kind):
    reference_scores = Scores()
    reference = run(Listed(*STEPS), reference_scores, folder='reference')
    assert len(reference_scores.calls) == 10
    with pytest.raises(kind, match='stop here'):
        run(Listed(*STEPS), Scores({call: kind('stop here')}))
    assert run(Listed(*STEPS)) == reference
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')


def test_the_same_loop_object_goes_on_as_well(tmp_path, make_ticket):
    def make(folder, scores):
        record = SearchRecord(tmp_path / folder, {'seed': '0'})
        strategy = Reinforce(4, seed=3, samples_per_step=2)
        return record, SearchLoop(strategy, scores, Reward(), record, LAYOUT, make_ticket, num_steps=12)

    record, loop = make('reference', Scores())
    with record:
        reference = loop.run()
    record, loop = make('run', Scores({n: KeyboardInterrupt('stop') for n in range(1, 9)}))
    with record:
        for _ in range(8):
            with pytest.raises(KeyboardInterrupt):
                loop.run()
        assert loop.run() == reference
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')


def test_reinforce_stopped_at_every_step_learns_the_same(run, tmp_path):
    def reinforce():
        return Reinforce(4, seed=1, preset='paper')

    reference = run(reinforce(), folder='reference', num_steps=15)

    def stop(report):
        raise KeyboardInterrupt

    for _ in range(20):
        try:
            run(reinforce(), num_steps=15, on_step=stop)
        except KeyboardInterrupt:
            continue
        break
    assert run(reinforce(), num_steps=15) == reference
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')


def test_a_longer_search_continues_a_shorter_one(run, tmp_path):
    run(Listed(*STEPS), num_steps=2)
    scores = Scores()
    longer = run(Listed(*STEPS), scores, num_steps=5)
    assert longer == run(Listed(*STEPS), folder='reference')
    assert files(tmp_path / 'run') == files(tmp_path / 'reference')


def test_result_is_known_before_the_end(tmp_path, make_ticket):
    with SearchRecord(tmp_path, {'seed': '0'}) as record:
        loop = SearchLoop(Listed(*STEPS), Scores(), Reward(), record, LAYOUT, make_ticket)
        loop.load()
        empty = loop.result()
        assert (empty.best, empty.none, empty.all, empty.top) == (None, None, None, ())
        assert not empty.is_finished
        loop.score = Scores({6: KeyboardInterrupt('stop')})
        with pytest.raises(KeyboardInterrupt):
            loop.run()
        loop.load()
        result = loop.result(num_top=2)
        assert (result.num_steps, result.num_evaluations, len(result.top)) == (2, 5, 2)
        assert not result.is_finished
        assert [str(e.scheme) for e in loop.evaluations] == ['00 00', '11 11', '10 00', '00 01', '10 10']


def test_ranks_that_read_follow_and_write_nothing(tmp_path, make_ticket):
    def make(is_writer):
        record = SearchRecord(tmp_path / 'run', {'seed': '0'}, is_writer=is_writer)
        return record, SearchLoop(Listed(*STEPS), Scores(), Reward(), record, LAYOUT, make_ticket, num_steps=3)

    reader_record, reader = make(is_writer=False)
    with reader_record:
        reader.load()
        assert not (tmp_path / 'run').exists()
        alone = reader.run()
    assert not (tmp_path / 'run').exists()
    writer_record, writer = make(is_writer=True)
    with writer_record:
        assert writer.run() == alone
    reader_record, reader = make(is_writer=False)
    assert reader.run() == alone
    assert reader.score.calls == []


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('call', [3, 6, 10])
def test_a_score_that_is_no_number_is_not_learned_from(run, tmp_path, warnings_logged, call, value):
    scores, strategy = Scores({call: value}), Listed(*STEPS)
    result = run(strategy, scores)
    failed = lines(tmp_path / 'run')[call - 1]
    assert (failed['metric'], failed['reward']) == (None, None)
    assert failed['reason'] == f'the metric is {value}'
    assert (result.num_failures, result.is_finished) == (1, True)
    step = failed['step']
    text = failed['scheme'].replace(' ', '')
    assert text not in strategy.observed[step][1]
    assert all(math.isfinite(reward) for _, _, rewards in strategy.observed for reward in rewards)
    assert warnings_logged == [
        f"Scheme '{failed['scheme']}' is not learned from: the metric is {value} (1 of 5 failures in a row)."
    ]


def test_a_failure_is_not_remembered(run):
    scores, strategy = Scores({3: math.nan}), Listed((8,), (8,), (8,))
    result = run(strategy, scores)
    assert scores.calls == ['00 00', '11 11', '10 00', '10 00']
    assert strategy.observed == [(0, [], []), (1, ['1000'], [74.0]), (2, ['1000'], [74.0])]
    assert (result.num_evaluations, result.num_distinct, result.num_failures) == (4, 3, 1)


def test_failed_controls_are_shown_as_failed(run):
    result = run(Listed((8,)), Scores({1: math.nan}))
    assert (result.none.metric, result.none.reason) == (None, 'the metric is nan')
    result = run(Listed((8, 0)), Scores({1: math.nan}), folder='other')
    assert result.none == Evaluation(scheme_of(0), 'proposal', 0, 70.0, 70.0)


def test_a_reward_that_is_no_number_is_a_failure(run, tmp_path):
    run(Listed((8,)), reward=lambda metric, mask: math.inf if mask.any() else metric)
    assert [line.get('reason') for line in lines(tmp_path / 'run')] == [
        None,
        'the reward is inf',
        'the reward is inf',
    ]


def test_always_nan_stops_after_five_in_a_row(run, tmp_path, warnings_logged):
    match = r"got 5 failures in a row, the last for scheme '00 11': the metric is nan; the state in "
    with pytest.raises(SearchFailedError, match=match) as info:
        run(Listed((8, 10), (3, 5)), Scores({'always': math.nan}))
    assert isinstance(info.value, RuntimeError)
    assert 'is intact: mend the cause and run the same command again.' in str(info.value)
    assert [line['metric'] for line in lines(tmp_path / 'run')] == [None] * 4
    assert not (tmp_path / 'run' / 'ticket.json').exists()
    assert len(warnings_logged) == 5
    # the step that did not come through is taken again
    scores = Scores()
    result = run(Listed((8, 10), (3, 5)), scores)
    assert scores.calls == ['00 11', '01 01']
    assert (result.is_finished, result.num_failures) == (True, 4)


@pytest.mark.parametrize('max_failures', [1, 2, 3])
def test_failures_in_a_row_are_counted_over_steps_and_restarts(run, max_failures):
    steps = [(8,), (10,), (3,), (5,)]
    with pytest.raises(SearchFailedError, match=f'got {max_failures} failures in a row'):
        run(Listed(*steps), Scores({'always': math.nan}), max_failures=max_failures)
    scores = Scores({'always': math.nan})
    with pytest.raises(SearchFailedError, match=f'got {max_failures} failures in a row'):
        run(Listed(*steps), scores, max_failures=max_failures)
    # the first restart repeats the step that was not committed, both controls if that was it
    assert len(scores.calls) == (max_failures if max_failures <= 2 else 1)


def test_a_success_in_between_starts_the_count_again(run):
    failing = {n: math.nan for n in range(1, 11) if n % 3}
    result = run(Listed(*STEPS), Scores(failing), max_failures=3)
    assert result.is_finished
    assert result.num_failures == 7


def test_out_of_memory_is_tried_once_more(run, warnings_logged, monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: emptied.append(1))
    scores = Scores({3: torch.cuda.OutOfMemoryError('tried to allocate 2 GiB')})
    result = run(Listed((8,)), scores)
    assert scores.calls == ['00 00', '11 11', '10 00', '10 00']
    assert (result.num_failures, emptied) == (0, [1])
    (text,) = warnings_logged
    assert "Scheme '10 00' ran out of memory (tried to allocate 2 GiB); emptying the cache" in text


def test_out_of_memory_twice_is_a_failure(run, tmp_path, warnings_logged):
    error = torch.cuda.OutOfMemoryError('tried to allocate 2 GiB')
    result = run(Listed((8,), (10,)), Scores({3: error, 4: error}))
    assert result.num_failures == 1
    assert lines(tmp_path / 'run')[2]['reason'] == 'out of memory'
    assert 'giving it up' in warnings_logged[1]
    with pytest.raises(SearchFailedError, match='out of memory'):
        run(Listed((8,)), Scores({'always': error}), folder='other', max_failures=2)


def test_a_score_that_is_not_even_a_number(run):
    for value in ('high', [1.0, 2.0], {}):
        with pytest.raises(TypeError, match=r'`score` must return a number, but got'):
            run(Listed((8,)), lambda scheme, value=value: value)
    result = run(Listed((8,)), lambda scheme: torch.tensor(71.5))
    assert type(result.best.metric) is float


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
        loop = SearchLoop(Listed((8,)), Scores(), Reward(), record, (1, 3), make_ticket)
        with pytest.raises(SearchStateError, match=r'over \(1, 3\) blocks per stage, but got .*run'):
            loop.run()


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        ({'min_connected': 5}, r'`min_connected` must be at most the 4 connections .* got 5'),
        ({'min_connected': -1}, r'`min_connected` must be a whole number of at least 0'),
        ({'max_schemes': 1}, r'`max_schemes` must be a whole number of at least 2, but got 1'),
        ({'max_failures': 0}, r'`max_failures` must be a whole number of at least 1'),
        ({'num_steps': 0}, r'`num_steps` must be a whole number of at least 1'),
        ({'num_steps': 2.0}, r'`num_steps` must be a whole number'),
    ],
)
def test_arguments_out_of_range(tmp_path, make_ticket, arguments, match):
    record = SearchRecord(tmp_path, {})
    with pytest.raises(ValueError, match=match):
        SearchLoop(Listed((8,)), Scores(), Reward(), record, LAYOUT, make_ticket, **arguments)


def test_a_strategy_for_another_layout(tmp_path, make_ticket):
    record = SearchRecord(tmp_path, {})
    with pytest.raises(ValueError, match=r'must propose 5 bits for \(2, 3\) blocks per stage, but g'):
        SearchLoop(Listed((8,)), Scores(), Reward(), record, (2, 3), make_ticket)

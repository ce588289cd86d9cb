"""Scores that are no numbers are counted and not learned from; five in a row end the search."""

from __future__ import annotations

import math

import pytest
import torch
from toy_search import STEPS, Listed, Scores, lines, scheme_of

from ean_mm.search import (
    Evaluation,
    SearchFailedError,
)

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
    assert scores.calls == (['00 00', '11 11'] if max_failures <= 2 else ['10 00'])


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

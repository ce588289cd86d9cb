"""A search within a space, from a warm start, that ends early, and what comes after its end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from toy_search import LAYOUT, Listed, Scores, files, lines, scheme_of

from ean_mm.search import (
    AddedCost,
    AddedCosts,
    Budget,
    Limits,
    Measurement,
    RandomSearch,
    Reward,
    SearchLoop,
    SearchRecord,
    SearchSpace,
    one_by_one,
)
from ean_mm.structures import ConnectionScheme, Ticket


class Short(Listed):
    """Proposes given numbers of few bits."""

    def __init__(self, num_connections: int, *steps: tuple[int, ...]):
        super().__init__(*steps)
        self.num_connections = num_connections

    def propose(self, step: int) -> np.ndarray:
        return super().propose(step)[:, -self.num_connections :]


@pytest.fixture
def open_loop(tmp_path, make_ticket):
    """A loop in ``tmp_path/run`` and its record, which the caller opens."""

    def make(strategy, scores, space=None, folder='run', **arguments):
        record = SearchRecord(tmp_path / folder, {'seed': '0'})
        space = space or SearchSpace(LAYOUT)
        return record, SearchLoop(strategy, one_by_one(scores), Reward(), record, space, make_ticket, **arguments)

    return make


# -- fixed bits and limits -----------------------------------------------------------------------------------------------


def test_a_strategy_sees_the_free_bits_alone(run):
    scores, strategy = Scores(), Short(2, (0, 3), (1, 2))
    result = run(strategy, scores, fixed='*0 1*')
    assert scores.calls == ['00 00', '11 11', '00 10', '10 11', '00 11', '10 10']
    assert [(step, masks) for step, masks, _ in strategy.observed] == [(0, ['00', '11']), (1, ['01', '10'])]
    assert str(result.best.scheme) == '10 10'


def test_the_controls_are_scored_but_no_ticket_where_bits_are_fixed(run):
    result = run(Short(3, (0, 1)), lambda scheme: 50.0 - scheme.num_connected, fixed='1* **')
    assert result.none.metric == 50.0
    assert str(result.best.scheme) == '10 00'


def test_the_search_ends_when_all_that_is_free_has_a_score(run):
    result = run(RandomSearch(2, samples_per_step=3, num_steps=10**9), fixed='*1 0*')
    assert result.num_distinct == 4 + 2
    assert result.end == 'every scheme has a score, 6 in all'


def test_proposals_beyond_the_limits_are_brought_within_and_that_is_observed(run):
    limits = Limits.parse({'macs': '+3%'}, AddedCosts(4, {'macs': AddedCost(100.0, (1.0, 1.0, 2.0, 2.0))}))
    scores, strategy = Scores(), Listed((15, 8), (7, 12))
    result = run(strategy, scores, limits=limits)
    proposed = [ConnectionScheme.from_string(text) for text in scores.calls[2:]]
    assert all(limits.is_allowed(scheme.mask[None])[0] for scheme in proposed)
    assert result.all.metric == 72.0  # scored as a control, though it is no ticket
    assert limits.is_allowed(result.best.scheme.mask[None])[0]
    observed = [mask for _, masks, _ in strategy.observed for mask in masks]
    assert observed[1] == '1000'
    assert '1111' not in observed


def test_a_strategy_is_told_what_may_become_the_ticket(open_loop):
    strategy = Short(3, (0,))
    open_loop(strategy, Scores(), SearchSpace(LAYOUT, fixed='1* **', min_connected=2))
    assert strategy.is_allowed(np.zeros((1, 3), dtype=bool)).tolist() == [False]
    assert strategy.is_allowed(np.eye(3, dtype=bool)).tolist() == [True, True, True]


# -- a warm start --------------------------------------------------------------------------------------------------------


class Warmed(Listed):
    taught: tuple = ()

    def warm_start(self, masks, rewards):
        self.taught = (masks.astype(int).tolist(), rewards.tolist())

    def state_dict(self):
        return {**super().state_dict(), 'taught': list(self.taught)}

    def load_state_dict(self, state):
        self.taught = tuple(state['taught'])


def test_a_warm_start_is_scored_first_taught_and_may_be_the_ticket(run, tmp_path):
    scores, strategy = Scores(), Warmed((8, 1))
    result = run(strategy, scores, warm_start=[scheme_of(10), scheme_of(0), scheme_of(10)])
    assert [(line['role'], line['step'], line['scheme']) for line in lines(tmp_path / 'run')] == [
        ('control', None, '00 00'),
        ('control', None, '11 11'),
        ('warm', None, '10 10'),
        ('proposal', 0, '10 00'),
        ('proposal', 0, '00 01'),
    ]
    assert strategy.taught == ([[1, 0, 1, 0], [0, 0, 0, 0]], [76.0, 70.0])
    assert str(result.best.scheme) == '10 10'
    again = Warmed((8, 1))
    assert run(again, Scores({'always': AssertionError()}), warm_start=[scheme_of(10), scheme_of(0)]) == result
    assert again.taught == strategy.taught  # from the state, not scored anew


def test_a_warm_start_beyond_the_space_is_refused(open_loop):
    with pytest.raises(
        ValueError, match=r"that the search may propose, but got '10 10'; leave it out, or change `fixed`"
    ):
        open_loop(Short(3, (0,)), Scores(), SearchSpace(LAYOUT, fixed='0* **'), warm_start=[scheme_of(10)])


# -- ends ----------------------------------------------------------------------------------------------------------------


def test_patience_counts_schemes_since_the_best(run):
    # 10 10 is the best of all: 76
    result = run(Listed((10,), (8,), (10,), (2,), (1,), (4,), (3,)), patience=3)
    assert result.end == '3 schemes in a row brought no better one'
    assert result.num_steps == 5
    assert run(Listed((10,), (8,)), folder='other', patience=3).end == 'all 2 steps are done'


def test_images_are_counted_per_scored_scheme(run):
    result = run(Listed((8,), (10,), (8,), (2,), (1,)), max_images=500, count_images=lambda evaluation: 120)
    assert (result.end, result.num_distinct) == ('600 images are used, of 500', 5)


def test_hours_are_those_of_all_processes_together(open_loop):
    ticks = itertools.count(step=900.0)

    def search(hours):
        clock = lambda: float(next(ticks))  # noqa: E731
        budget = Budget(max_hours=hours)
        record, loop = open_loop(Listed(*[(n,) for n in range(1, 12)]), Scores(), budget=budget, read_clock=clock)
        with record:
            return loop.run()

    first = search(1.0)
    assert (first.end, first.num_steps) == (
        '1 hours are over',
        3,
    )  # a quarter of an hour each, the controls' step as well
    assert search(1.0) == first  # the same command does not search on
    assert search(2.0).num_steps == 7


def test_a_strategy_that_has_converged_ends_the_search(run):
    class Settled(Listed):
        has_converged = property(lambda self: len(self.observed) >= 2)

    result = run(Settled((8,), (10,), (1,)))
    assert (result.end, result.num_steps) == ('nothing better is expected after 4 schemes', 2)


# -- after the end -------------------------------------------------------------------------------------------------------


def test_what_is_scored_afterwards_is_logged_and_changes_no_budget(open_loop, tmp_path):
    record, loop = open_loop(Listed((8,), (1,)), Scores(), budget=Budget(max_schemes=4))
    with record:
        before = loop.run()
        loop.extend('probe', [scheme_of(10), scheme_of(8)])
        loop.extend('random', [scheme_of(14), scheme_of(10)])
        after = loop.result()
    assert [(line['role'], line['scheme']) for line in lines(tmp_path / 'run')][4:] == [
        ('probe', '10 10'),
        ('random', '11 10'),
    ]
    assert (before.num_distinct, after.num_distinct, after.num_evaluations) == (4, 4, 6)
    assert str(before.best.scheme) == '10 00'
    assert before.best == after.best  # though 10 10 is better: the ticket is what the search has found
    assert str(Ticket.load(tmp_path / 'run' / 'ticket.json').scheme) == '10 00'
    kept = files(tmp_path / 'run')
    record, loop = open_loop(Listed((8,), (1,)), Scores({'always': AssertionError()}), budget=Budget(max_schemes=4))
    with record:
        assert loop.run() == after
        loop.extend('probe', [scheme_of(10), scheme_of(8)])
    assert files(tmp_path / 'run') == kept


def test_what_comes_afterwards_is_never_ranked(open_loop):
    record, loop = open_loop(Listed((8,)), Scores())
    with record:
        loop.run()
        loop.extend('random', [scheme_of(10)])
        assert str(loop.best.scheme) == '10 00'
        assert '10 10' not in {str(e.scheme) for e in loop.result().top}


def test_an_estimate_is_scored_in_full_afterwards(open_loop, tmp_path):

    def score(schemes, incumbent):
        partial = 40 if incumbent is not None else None
        return [Measurement(float(s.num_connected), partial if s == scheme_of(8) else None) for s in schemes]

    record, loop = open_loop(Listed((8,), (1,)), None)
    loop.score_many = score
    with record:
        result = loop.run()
        assert result.num_partial == 1
        loop.extend('probe', [scheme_of(8)])
        assert loop.result().num_distinct == result.num_distinct
    last = lines(tmp_path / 'run')[-1]
    assert (last['role'], last['scheme'], 'num_images' in last) == ('probe', '10 00', False)


def test_a_search_that_goes_on_can_still_find_what_was_scored_after_its_end(open_loop, tmp_path):
    record, loop = open_loop(Listed((8,), (10,), (1,)), Scores(), budget=Budget(num_steps=1))
    with record:
        loop.run()
        loop.extend('random', [scheme_of(10)])
    record, loop = open_loop(Listed((8,), (10,), (1,)), Scores())
    with record:
        result = loop.run()
    assert str(result.best.scheme) == '10 10'
    assert [line['role'] for line in lines(tmp_path / 'run')][3:] == ['random', 'proposal', 'proposal']

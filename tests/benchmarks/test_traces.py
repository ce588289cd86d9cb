"""The recorded searches are what record_traces.py records, and what is counted from them is right."""

import doctest
import importlib
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ean_mm.search import Reinforce, Reward, SearchLoop, SearchRecord, SearchSpace, one_by_one
from ean_mm.structures import BackboneFingerprint, ConnectionScheme, Ticket

TRACES = Path(__file__).parents[2] / 'benchmarks/speed/traces'
LAYOUTS = ((3, 3, 3), (3, 4, 6, 3), (3, 4, 23, 3), (18, 18, 18))


@pytest.fixture
def recording(monkeypatch):
    return importlib.import_module('benchmarks.speed.record_traces')


@pytest.fixture
def facts(monkeypatch):
    return importlib.import_module('benchmarks.speed.trace_facts')


def schemes_of(*texts):
    return [ConnectionScheme.from_string(text) for text in texts]


def random_schemes(count, layout=(2, 3), seed=0):
    rng = np.random.default_rng(seed)
    return [ConnectionScheme.from_mask(mask, layout) for mask in rng.random((count, sum(layout))) < 0.5]


# -- recording -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_trace_is_recorded_anew_byte_for_byte(recording, tmp_path, layout):
    path = recording.write_trace(layout, tmp_path)
    assert path.read_bytes() == (TRACES / path.name).read_bytes()


def test_the_committed_traces_are_those_of_the_script(recording):
    assert recording.LAYOUTS == LAYOUTS
    names = sorted(path.name for path in TRACES.iterdir())
    assert names == sorted(f'{recording.spell(layout)}.txt' for layout in LAYOUTS)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_committed_trace_has_300_steps_of_3(recording, facts, layout):
    trace = facts.Trace.from_text((facts.TRACES / f'{recording.spell(layout)}.txt').read_text())
    assert [len(step) for step in trace.steps] == [3] * 300
    assert trace.blocks_per_stage == layout


def test_the_accuracy_is_main_effects_and_effects_of_neighbours(recording):
    accuracy = recording.SyntheticAccuracy(16)
    main, pair = np.array(accuracy.main), np.array(accuracy.pair)
    for mask in np.random.default_rng(0).random((50, 16)) < 0.5:
        expected = 54 + main @ mask + pair @ (mask[:-1] & mask[1:])
        assert accuracy(mask) == pytest.approx(expected, abs=1e-12)
    effects = np.concatenate([main, pair])
    assert len(set(effects.tolist())) == 31
    assert 0.5 < np.abs(effects).max() <= 4 / 16**0.5


@pytest.mark.parametrize('layout', LAYOUTS)
def test_accuracies_spread_alike_at_every_depth(recording, layout):
    accuracy = recording.SyntheticAccuracy(sum(layout))
    masks = np.random.default_rng(0).random((1000, sum(layout))) < 0.5
    assert 1 < np.std([accuracy(mask) for mask in masks]) < 2


def test_the_reward_is_that_of_the_paper(recording):
    assert recording.REWARD(55.0, np.arange(16) >= 7) == 55 + 2 * 7 / 16 - 54


def test_what_is_recorded_is_what_a_search_proposes(recording, tmp_path):
    """The loop scores its controls first and remembers scores, which must change nothing."""
    layout, accuracy = (3, 3, 3), recording.SyntheticAccuracy(9)

    class Watched(Reinforce):
        proposed = ()

        def observe(self, step, masks, rewards):
            self.proposed = (*self.proposed, tuple(ConnectionScheme.from_mask(mask, layout) for mask in masks))
            super().observe(step, masks, rewards)

    def make_ticket(evaluation):
        fingerprint = BackboneFingerprint(type='Toy', depth=None, blocks_per_stage=layout, channels=(8, 16, 32))
        return Ticket(
            origin='searched',
            scheme=evaluation.scheme,
            backbone=fingerprint,
            attention={'type': 'ean_mm.SE'},
            sharing='stage',
            metrics={'accuracy/top1': evaluation.metric},
        )

    strategy = Watched(9, preset='paper', num_steps=30)
    reward = Reward(sparsity_weight=2.0, offset=-54.0)
    with SearchRecord(tmp_path, {'seed': '0'}) as record:
        score_many = one_by_one(lambda scheme: accuracy(scheme.mask))
        SearchLoop(strategy, score_many, reward, record, SearchSpace(layout), make_ticket).run()
    recorded = recording.record(layout, accuracy, num_steps=30)
    assert recorded.steps == strategy.proposed
    assert recording.record(layout, lambda mask: 54.0, num_steps=30).steps != recorded.steps


def test_examples_in_docstrings(recording, facts):
    for module in (recording, facts):
        results = doctest.testmod(module)
        assert results.attempted > 1
        assert results.failed == 0


# -- traces as text ------------------------------------------------------------------------------------------------------


def test_a_trace_comes_back_from_its_text(facts):
    trace = facts.Trace((tuple(random_schemes(3)), tuple(random_schemes(2, seed=1))))
    assert facts.Trace.from_text(trace.to_text()) == trace
    assert facts.Trace.from_text('# a comment\n' + trace.to_text()) == trace


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('', "`scheme` must be a text like '101 0110 100100 010', but got ''"),
        ('# nothing\n', "`scheme` must be a text like '101 0110 100100 010', but got ''"),
        ('10 2', "`scheme` must hold '0', '1' and single spaces"),
        ('10 1\n\n10 11', r'`steps` must hold schemes of one layout, but got \[\(2, 1\), \(2, 2\)\]'),
    ],
)
def test_a_damaged_trace_is_refused(facts, text, match):
    with pytest.raises(ValueError, match=match):
        facts.Trace.from_text(text)


@pytest.mark.parametrize('steps', [(), ((),)])
def test_a_trace_without_schemes_is_refused(facts, steps):
    with pytest.raises(ValueError, match=f'`steps` must hold at least one scheme each, but got {len(steps)} steps'):
        facts.Trace(steps)


# -- facts ---------------------------------------------------------------------------------------------------------------


def test_facts_of_a_trace_counted_by_hand(facts):
    # after 01 1: block 0 and the prefixes 0 and 01 are known; 00 1 brings 00; 01 0 nothing; 10 1 brings 1 and 10
    counted = facts.count_facts(schemes_of('01 1', '00 1', '01 0', '10 1', '01 1'))
    assert counted == facts.TraceFacts(num_proposals=5, num_distinct=4, num_new=(1, 2, 3))
    assert counted.memory_limit == 5 / 4
    assert counted.new_share() == pytest.approx((1 + 2 + 3) / (5 * 3))
    assert counted.sharing_limit() == pytest.approx(15 / 6)
    # blocks of 1, 2 and 4 MACs after a stem of 3
    assert counted.new_share([1, 2, 4], rest=3) == pytest.approx((3 + 1 + 2 * 2 + 3 * 4) / (5 * 10))


@pytest.mark.parametrize('seed', range(3))
def test_facts_are_those_of_a_search_that_keeps_everything(facts, seed):
    schemes, seen, computed = random_schemes(40, seed=seed), set(), 0
    for scheme in schemes:
        bits = str(scheme).replace(' ', '')
        for block in range(len(bits)):
            computed += (block, bits[:block]) not in seen
            seen.add((block, bits[:block]))
    assert sum(facts.count_facts(schemes).num_new) == computed


def test_facts_of_every_scheme(facts):
    counted = facts.count_facts(ConnectionScheme.from_mask(mask, (2, 2)) for mask in product((0, 1), repeat=4))
    assert counted == facts.TraceFacts(16, 16, (1, 2, 4, 8))
    assert counted.sharing_limit() == 4 * 16 / 15


@pytest.mark.parametrize('weights', [[1, 2], [1, 0, 1]])
def test_weights_that_do_not_fit_are_refused(facts, weights):
    counted = facts.count_facts(schemes_of('01 1'))
    with pytest.raises(ValueError, match=rf'`weights` must be 3 numbers above 0, but got \[1, {weights[1]}'):
        counted.new_share(weights)


def test_the_table_names_every_trace(facts, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['trace_facts.py'])
    facts.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if ' 900 ' in line] == ['3-3-3', '3-4-6-3', '3-4-23-3', '18-18-18']

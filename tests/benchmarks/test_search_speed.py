"""The benchmark runs at a tiny size and leaves the rows that it promises; no test asserts a time."""

import argparse
import csv
import importlib
import math
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch

from ean_mm.analysis import count_work
from ean_mm.structures import ConnectionScheme

CPU = torch.device('cpu')


@pytest.fixture
def script(monkeypatch):
    return importlib.import_module('benchmarks.speed.search')


@pytest.fixture
def cases(script):
    return importlib.import_module('benchmarks.speed.cases')


@pytest.fixture
def run(script, monkeypatch, tmp_path):
    def run_script(*arguments):
        monkeypatch.setattr(sys, 'argv', ['search.py', '--work-dir', str(tmp_path), '--quick', *arguments])
        script.main()
        with (tmp_path / 'search_speed_quick.csv').open(newline='') as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            assert all(row[key] for key in ('device', 'threads', 'torch', 'date', 'startup_s', 'peak_memory_mib'))
            assert all(0 < float(row[key]) < math.inf for key in ('seconds', 'speedup', 'limit_sharing'))
        return rows

    return run_script


@pytest.fixture
def pretended_engine(script, monkeypatch):
    """An engine that scores in full, adds ``error`` to all scores, and notes what it is asked for."""
    asked, build = [], script.build_scorer

    def use(error=0.0):
        def pretend(search, mode, budget):
            if mode not in script.ENGINES:
                return build(search, mode, 0)
            plain = build(search, 'naive', 0)

            def score_many(schemes):
                asked.append((mode, budget, schemes))
                return [score + error for score in plain.score_many(schemes)]

            return script.Scorer(score_many, lambda: (25, 100, 3 * 2**20))

        monkeypatch.setattr(script, 'build_scorer', pretend)
        return asked

    return use


def test_full_scorings_alone(run, capsys):
    naive, memory, precision = run('--cases', 'demo', '--modes')
    assert [naive['way'], memory['way'], precision['way']] == ['naive', 'memory', 'precision']
    assert float(naive['speedup']) == 1
    assert naive['num_proposals'] == '12'
    assert float(memory['speedup']) == pytest.approx(12 / int(naive['num_distinct']), abs=1e-3)
    assert f'demo: {naive["num_distinct"]} of 12 proposals are distinct' in capsys.readouterr().out


def test_every_proposal_in_full(run):
    naive, *_ = run('--cases', 'demo', '--modes', '--full-naive')
    assert (naive['num_scored'], naive['is_extrapolated']) == ('12', 'False')


def test_some_scorings_stand_for_all(run):
    naive, memory, _ = run('--cases', 'atlas', '--modes', '--full-scorings', '3', '--num-calibration', '0')
    assert (naive['num_scored'], naive['num_distinct'], naive['num_calibration']) == ('3', '8', '0')
    assert naive['is_extrapolated'] == memory['is_extrapolated'] == 'True'


def test_a_row_for_each_mode_and_budget(run, pretended_engine, tmp_path):
    asked = pretended_engine()
    rows = run('--cases', 'atlas', '--budgets', 'inf', '0.5')
    found = [(row['way'], row['budget_gib']) for row in rows[3:]]
    assert found == [('exact', '0.5'), ('exact', 'inf'), ('fast', '0.5'), ('fast', 'inf')]
    assert [(mode, budget) for mode, budget, _ in asked] == [(way, float(gib) * 2**30) for way, gib in found]
    for row in rows[3:]:
        assert (row['num_identical'], row['num_compared'], row['max_difference'], row['regret']) == ('8', '8', '0', '0')
        assert (row['computed_share'], row['held_mib']) == ('0.2500', '3.0')
    assert (tmp_path / 'search_speed_atlas_quick.png').stat().st_size > 0


def test_the_engine_gets_each_scheme_once_and_step_by_step(run, pretended_engine, cases):
    asked = pretended_engine()
    run('--cases', 'demo', '--modes', 'exact')
    steps = cases.build_search(cases.CASES['demo'].shrink(), CPU).steps
    given = [scheme for _, _, schemes in asked for scheme in schemes]
    assert given == list(dict.fromkeys(scheme for step in steps for scheme in step))
    assert all(set(schemes) <= set(step) for (_, _, schemes), step in zip(asked, steps, strict=True))


def test_a_wrong_score_shows(run, pretended_engine):
    pretended_engine(error=0.25)
    row = run('--cases', 'atlas', '--modes', 'exact')[-1]
    assert (row['num_identical'], row['num_compared'], row['max_difference']) == ('0', '8', '0.25')


@pytest.mark.parametrize('name', ['demo', 'atlas'])
def test_the_engine_in_exact_mode_scores_alike(run, name):
    rows = run('--cases', name, '--modes', 'exact', '--budgets', '0', 'inf')[3:]
    for row in rows:
        assert row['num_identical'] == row['num_compared'] == row['num_distinct']
    assert [float(row['held_mib']) > 0 for row in rows] == [False, True]
    assert 0 < float(rows[1]['computed_share']) < 1


def test_a_case_that_is_measured_again_replaces_its_rows(run):
    run('--cases', 'demo', 'atlas', '--modes')
    rows = run('--cases', 'demo', '--modes', '--full-naive')
    assert [(row['case'], row['way']) for row in rows] == [
        *(('atlas', way) for way in ('naive', 'memory', 'precision')),
        *(('demo', way) for way in ('naive', 'memory', 'precision')),
    ]
    assert rows[3]['is_extrapolated'] == 'False'


def test_comparison_by_hand(script):
    a, b, c = (ConnectionScheme.from_string(text) for text in ('00', '01', '10'))
    compared = script.compare({a: 1.0, b: 2.0, c: 3.5}, {a: 1.0, b: 3.0})
    assert compared == dict(num_compared=2, num_identical=1, max_difference='1', regret='0')
    assert script.compare({a: 1.0, b: 3.0}, {a: 2.0, b: 1.5})['regret'] == '2'


def test_schemes_are_picked_at_equal_distances(script):
    schemes = [ConnectionScheme.from_codes((code,), (3,)) for code in range(8)]
    assert script.pick(schemes, 2) == [schemes[2], schemes[6]]
    assert script.pick(schemes, None) == script.pick(schemes, 9) == schemes


def test_sizes_of_the_command_line_come_before_those_of_the_case(script, cases):
    given = dict(image_size=48, num_images=None, batch_size=None, num_calibration=0, num_steps=None, budgets=None)
    case = script.choose_sizes(cases.CASES['demo'], argparse.Namespace(**given, quick=False))
    assert case == replace(cases.CASES['demo'], image_size=48, num_calibration=0)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--num-images', '0'), "argument --num-images: must be a whole number of at least 1, but got '0'."),
        (('--num-calibration', 'x'), "argument --num-calibration: must be a whole number of at least 0, but got 'x'."),
        (('--budgets', '-1'), "argument --budgets: must be GiB, a number of at least 0 or 'inf', but got '-1'."),
        (('--budgets', 'nan'), "argument --budgets: must be GiB, a number of at least 0 or 'inf', but got 'nan'."),
        (('--budgets', 'much'), "argument --budgets: must be GiB, a number of at least 0 or 'inf', but got 'much'."),
    ],
)
def test_a_size_out_of_range_is_refused(run, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run(*arguments)
    assert message in capsys.readouterr().err


# -- the networks --------------------------------------------------------------------------------------------------------


def test_every_bit_of_a_random_network_matters(script, cases):
    search = cases.build_search(cases.CASES['atlas'].shrink(), CPU)
    scores = script.build_scorer(search, 'naive', 0).score_many(search.schemes)
    assert len(set(scores)) == len(search.schemes) == 8
    assert all(-10 < score < 0 for score in scores)


def test_a_network_is_built_alike_every_time(cases):
    case = cases.CASES['demo'].shrink()
    first, second = (cases.build_search(case, CPU) for _ in range(2))
    for (name, one), two in zip(first.model.state_dict().items(), second.model.state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    pair = zip(first.dataloader, second.dataloader, strict=True)
    assert all(torch.equal(one['inputs'][0], two['inputs'][0]) for one, two in pair)


@pytest.mark.parametrize('name', ['resnet50-64', 'resnet164'])
def test_deep_networks_stay_finite(cases, name):
    pytest.importorskip('mmpretrain')
    search = cases.build_search(cases.CASES[name].shrink(), CPU)
    backbone, batch = search.model.backbone, next(iter(search.dataloader))
    for word in ('none', 'all'):
        backbone.set_scheme(ConnectionScheme.parse(word, backbone.blocks_per_stage))
        with torch.no_grad():
            logits = search.model(**search.model.data_preprocessor(batch, False))
        assert logits.isfinite().all()
        assert logits.abs().max() < 1e3


def test_macs_of_blocks_add_up(cases):
    search = cases.build_search(cases.CASES['demo'].shrink(), CPU)
    blocks, rest = search.count_macs()
    backbone = search.model.backbone
    with torch.no_grad():
        total = count_work(partial(backbone, torch.zeros(1, 3, 32, 32))).macs
    assert sum(blocks) + rest == total
    assert rest == 32 * 32 * 16 * 3 * 9
    assert blocks[0] == 2 * 32 * 32 * 16 * 16 * 9

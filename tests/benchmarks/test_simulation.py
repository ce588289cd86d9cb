"""Simulated searches have the truth that their row says, and the table counts what verdicts said."""

import csv
import importlib
import sys

import numpy as np
import pytest


@pytest.fixture
def script():
    return importlib.import_module('benchmarks.truth.simulation')


def test_images_are_right_as_often_as_said(script):
    generator = np.random.default_rng(0)
    equal = script.CHANCES['independent'](generator)
    assert set(equal) == {script.SHARE_RIGHT}
    shared = script.CHANCES['shared'](generator)
    assert shared.mean() == pytest.approx(script.SHARE_RIGHT, abs=0.03)
    # what two schemes have in common: of outcomes whose variance is p (1 - p)
    assert shared.var() / (script.SHARE_RIGHT * (1 - script.SHARE_RIGHT)) == pytest.approx(
        1 / (1 + script.SPREAD), abs=0.05
    )


def test_a_lead_is_a_lead(script):
    verdict = script.run_search(script.World('independent', 30, 12), seed=0)
    gap = 100 * 12 * script.STANDARD_ERROR
    assert verdict.comparisons[0].chosen.value == pytest.approx(gap, abs=300 * script.STANDARD_ERROR)
    assert verdict.num_candidates == 30
    assert verdict.verdict == 'better'


def test_the_table_has_a_row_for_each_world(script, monkeypatch, tmp_path, capsys):
    worlds = (script.World('shared', 30, 0), script.World('independent', 30, 12))
    monkeypatch.setattr(script, 'WORLDS', worlds)
    monkeypatch.setattr(sys, 'argv', ['simulation.py', '--num-searches', '4', '--results', str(tmp_path)])
    script.main()
    with (tmp_path / 'simulation.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['errors'], row['lead'], row['num_searches']) for row in rows] == [
        ('shared', '0', '4'),
        ('independent', '12', '4'),
    ]
    for row in rows:
        for kind in ('verdict', 'plain'):
            shares = (row[f'{kind}_{answer}'] for answer in ('better', 'not_distinguishable', 'worse'))
            assert sum(map(float, shares)) == pytest.approx(1)
    assert rows[1]['verdict_better'] == '1.0'
    assert '100.0 %' in capsys.readouterr().out

"""Accuracy by lamp and bars: which sign a network follows."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ean_mm.datasets import load_digit_scans
from ean_mm.datasets.lamp_digits import draw_lamp_scene


@pytest.fixture
def script():
    return importlib.import_module('benchmarks.truth.signs')


@pytest.mark.parametrize('is_lit', [False, True])
@pytest.mark.parametrize('is_hinted_green', [False, True])
def test_signs_are_read_off_a_scene(script, is_lit, is_hinted_green):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image = draw_lamp_scene(load_digit_scans('test'), seed % 4, rng, bool(seed % 2), is_lit, is_hinted_green)
        assert script.read_signs(image) == (is_lit, is_hinted_green)


def test_bars_are_right_where_they_say_what_the_lamp_says(script):
    cases = [script.find_case(script.Signs(*each)) for each in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert cases == [('off', 'right'), ('off', 'wrong'), ('on', 'wrong'), ('on', 'right')]


def test_shares_are_of_each_case_alone(script):
    cases = [('off', 'right'), ('on', 'wrong'), ('off', 'right'), ('on', 'wrong'), ('on', 'wrong')]
    shares = script.share_by_case(np.array([True, False, False, True, True]), cases)
    assert shares == {('off', 'right'): (2, 50.0), ('on', 'wrong'): (3, pytest.approx(200 / 3))}


@pytest.fixture
def run(script, finished_search, monkeypatch, tmp_path):

    def run_script():
        monkeypatch.setattr(sys, 'argv', ['signs.py', finished_search.work_dir, '--results', str(tmp_path)])
        script.main()

    return run_script


@pytest.fixture
def on_lamp_digits(finished_search):
    """Let the recipe of the search test on lamp digits."""
    path = Path(finished_search.work_dir) / 'retrain.py'
    dataset = dict(type='ean_mm.LampDigits', split='test', num_scenes=8)
    path.write_text(f'{path.read_text()}\ntest_dataloader = dict(dataset={dataset!r})\ndefault_scope = "mmpretrain"\n')
    return Path(finished_search.work_dir)


def test_every_training_of_a_comparison_is_a_row_of_the_table(script, run, on_lamp_digits, monkeypatch, capsys):
    rows = [
        dict(name='ticket', schemes=['11 00 00'], seeds=[3, 1], values=[97.0, 96.0]),
        dict(name='random', schemes=['00 11 00', '01 00 01'], seeds=[1], values=[90.0]),
    ]
    facts = dict(metric='accuracy/top1', seeds=[3, 1], rows=rows)
    (on_lamp_digits / 'comparison.json').write_text(json.dumps(facts))
    tested = []
    monkeypatch.setattr(script, 'judge_network', lambda cfg, work_dir: tested.append(work_dir.name) or np.ones(8, bool))
    run()
    assert tested == ['ticket_3', 'ticket_1', 'random_1']
    text = capsys.readouterr().out
    assert text.count('100.0') >= 3
    assert '│ random │ 01 00 01 │ 1 ' in text


def test_another_task_is_refused(run, capsys):
    with pytest.raises(SystemExit):
        run()
    assert '`work_dir` must be of a search on ean_mm.LampDigits, but got one on ' in capsys.readouterr().err


def test_without_a_comparison_it_says_what_to_run(run, on_lamp_digits, capsys):
    with pytest.raises(SystemExit):
        run()
    expected = f"`work_dir` must hold a comparison.json, but got '{on_lamp_digits}'; run tools/compare.py first."
    assert expected in capsys.readouterr().err

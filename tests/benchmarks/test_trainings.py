"""The table of trainings has each of them once, with the scheme of its seed."""

import csv
import importlib
import json
import sys

import pytest


@pytest.fixture
def run(monkeypatch, tmp_path):

    def run_script(*directories):
        monkeypatch.setattr(sys, 'argv', ['trainings.py', *map(str, directories), '--results', str(tmp_path)])
        importlib.import_module('benchmarks.truth.trainings').main()
        with (tmp_path / 'trainings.csv').open(newline='') as file:
            return list(csv.DictReader(file))

    return run_script


def make_comparison(directory, rows, sentence='The ticket is a ticket.'):
    directory.mkdir()
    fields = ('name', 'schemes', 'seeds', 'values')
    rows = [dict(zip(fields, row, strict=True)) for row in rows]
    facts = dict(metric='accuracy/top1', seeds=[3, 1], rows=rows, sentence=sentence)
    (directory / 'comparison.json').write_text(json.dumps(facts))
    return directory


def test_each_training_is_one_row(run, tmp_path, capsys):
    cued = make_comparison(
        tmp_path / 'cued',
        [('ticket', ['10 01'], [3, 1], [97.125, 96.5]), ('random', ['11 00', '01 01'], [1], [90.0])],
    )
    plain = make_comparison(tmp_path / 'plain', [('none', ['00'], [3], [99.0])], 'It makes no difference.')
    rows = run(cued, plain)
    assert [tuple(row[key] for key in ('task', 'name', 'scheme', 'seed', 'value')) for row in rows] == [
        ('cued', 'ticket', '10 01', '3', '97.12'),
        ('cued', 'ticket', '10 01', '1', '96.5'),
        ('cued', 'random', '01 01', '1', '90'),
        ('plain', 'none', '00', '3', '99'),
    ]
    assert all(row['metric'] == 'accuracy/top1' and row['device'] and row['date'] for row in rows)
    assert capsys.readouterr().out.splitlines() == ['cued: The ticket is a ticket.', 'plain: It makes no difference.']


def test_without_a_comparison_it_says_what_to_run(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path)
    expected = f"`work_dirs` must hold a comparison.json each, but got ['{tmp_path}']; run tools/compare.py first."
    assert expected in capsys.readouterr().err

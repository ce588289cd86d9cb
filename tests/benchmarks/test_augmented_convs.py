"""The benchmarks of augmented convolutions run at a small size and leave the rows that they promise; no test asserts a time."""

import csv
import importlib
import json
import runpy
import sys

import pytest

from ean_mm.launch.training import METRICS_FILE

pytest.importorskip('mmpretrain')


@pytest.fixture
def run(monkeypatch):

    def run_script(name, *arguments, run_name='read'):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        return runpy.run_module(name, run_name='__main__')

    return run_script


def read(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_an_exponent_is_that_of_the_power_law():
    lines_of = importlib.import_module('benchmarks.scaling.lines')
    assert lines_of.fit_exponent([(x, 5 * x**1.7) for x in (256, 1024, 4096)]) == pytest.approx(1.7)
    lines = [
        lines_of.Line('a', [(256, 1.0), (1024, 4.0)]),
        lines_of.Line('b', [(256, 3.0)]),
        lines_of.Line('c', []),
    ]
    figure = lines_of.draw_scaling({'seconds': lines}, 'title')
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ['a: pixels^1.00', 'b']
    assert [label.get_text() for label in axes.get_xticklabels()] == ['16²', '32²']


def test_only_maps_of_n_by_n_are_too_large():
    """At 256 pixels stage 2 has 128 x 128 positions: a map of 8 heads is 8 GiB."""
    needed = importlib.import_module('benchmarks.scaling.eaanet_memory').needed_bytes
    assert needed('plain', 256) == needed('EAA', 256) == 0
    assert needed('AA', 256) > 5 * 8 * 2**30
    assert needed('AA', 256) == 16 * needed('AA', 128)


@pytest.mark.slow
def test_memory_and_time_of_steps(run, tmp_path):
    run('benchmarks.scaling.eaanet_memory', '--sizes', '32', '--rounds', '1', '--results', tmp_path)
    rows = {row['network']: row for row in read(tmp_path / 'eaanet_memory.csv')}
    assert list(rows) == ['plain', 'AA', 'EAA']
    assert all(float(row['resident_mib']) > float(row['allocated_mib']) > 0 for row in rows.values())
    assert (
        float(rows['AA']['allocated_mib']) > float(rows['EAA']['allocated_mib']) > float(rows['plain']['allocated_mib'])
    )
    assert (tmp_path / 'eaanet_memory.png').exists()


@pytest.mark.slow
def test_accuracy_from_finished_trainings(run, tmp_path):
    for name in ('resnet18_digits', 'resnet18_aa_digits', 'resnet18_eaa_digits'):
        for seed in (0, 1):
            (tmp_path / f'{name}_{seed}').mkdir()
            (tmp_path / f'{name}_{seed}' / METRICS_FILE).write_text(json.dumps({'accuracy/top1': 10.0 + seed}))
    run(
        'benchmarks.scaling.eaanet_digits',
        '--seeds',
        '0',
        '1',
        '--work-dir',
        tmp_path,
        '--results',
        tmp_path,
        '--rounds',
        '2',
    )
    rows = {row['network']: row for row in read(tmp_path / 'eaanet_digits.csv')}
    assert {row['accuracy'] for row in rows.values()} == {'10 11'}
    assert int(rows['EAA']['params']) < int(rows['AA']['params'])  # by the tables of relative positions
    assert rows['plain']['scheme'] == ''
    assert rows['plain']['ratio'] == '1.0000'

"""The benchmark runs at a tiny size and leaves the rows that it promises; no test asserts a time."""

import csv
import importlib
import math
import runpy
import sys

import pytest

pytest.importorskip('mmpretrain')

TINY = ['--depth', '18', '--batch-size', '2', '--image-size', '32', '--rounds', '1', '--warmup', '0']


@pytest.fixture
def run(monkeypatch, tmp_path):

    def run_script(*arguments):
        monkeypatch.setattr(sys, 'argv', ['overhead.py', '--work-dir', str(tmp_path), *TINY, *arguments])
        runpy.run_module('benchmarks.plugging.overhead', run_name='__main__')

    return run_script


@pytest.fixture
def networks(monkeypatch):
    return importlib.import_module('benchmarks.plugging.networks')


def read(path):
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert all(
            row[key] for key in ('device', 'threads', 'torch', 'date', 'params', 'macs', 'elementwise', 'rounds')
        )
        assert all(0 < float(row[key]) < math.inf for key in ('ratio', 'ratio_low', 'ratio_high', 'latency_ms'))
        assert float(row['peak_memory_mib']) > 0
    return rows


def test_the_table_over_densities(run, tmp_path, capsys):
    run('--parts', 'density', '--attentions', 'SE', 'SGE', '--precisions', 'fp32')
    rows = read(tmp_path / 'plug_density.csv')
    for mode in ('inference', 'training'):
        for attention in ('SE', 'SGE'):
            line = [row for row in rows if row['mode'] == mode and row['attention'] == attention]
            assert [float(row['density']) for row in line] == [0, 0.25, 0.5, 0.75, 1]
            work = [int(row['elementwise']) for row in line]
            assert work == sorted(set(work))
            assert line[0]['params'] == '11176512'
        bare = [row for row in rows if row['mode'] == mode and not row['attention']]
        assert len(bare) == 2
        assert {(row['ratio'], row['params']) for row in bare} == {('1.0000', '11176512')}
    # SE: 2*C*(C // 16) weights and C // 16 + C biases per stage; SGE: a weight and a bias per group of each stage
    added = {row['attention']: int(row['params']) - 11176512 for row in rows if row['density'] == '1.0'}
    assert added == {'SE': sum(2 * c * (c // 16) + c // 16 + c for c in (64, 128, 256, 512)), 'SGE': 4 * 2 * 64}
    assert (tmp_path / 'plug_density.png').stat().st_size > 0
    assert 'SGE 100%' in capsys.readouterr().out


def test_the_overhead_beside_timm(run, tmp_path):
    pytest.importorskip('timm')
    run('--parts', 'overhead')
    rows = read(tmp_path / 'plug_overhead.csv')
    settings = [(row['mode'], row['precision']) for row in rows[::5]]
    assert settings == [('inference', 'fp32'), ('training', 'fp32'), ('inference', 'bf16'), ('training', 'bf16')]
    bare, none, everywhere, plain, with_se = rows[:5]
    assert [row['baseline'] for row in rows[:5]] == [*['mmpretrain resnet18'] * 3, *['timm resnet18'] * 2]
    for key in ('params', 'macs', 'elementwise'):
        assert bare[key] == none[key] == plain[key]
        assert int(bare[key]) < int(everywhere[key])
    # timm rounds the bottleneck of SE to a multiple of 8
    assert 0 < int(with_se['params']) - int(everywhere['params']) < 2000


def test_without_timm_there_is_one_sentence(run, monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(SystemExit, match='error: `--parts overhead` must find timm installed, but got no such package'):
        run('--parts', 'overhead')


def test_an_attention_whose_package_is_missing_is_left_out(run, monkeypatch, tmp_path, capsys):
    for name in [name for name in sys.modules if name.partition('.')[0] == 'timm']:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, 'timm', None)
    run('--parts', 'density', '--attentions', 'eca', '--precisions', 'fp32', '--modes', 'inference')
    assert 'eca is left out: ' in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('argument', ['--rounds', '--depth', '--batch-size', '--image-size'])
def test_a_size_below_one_is_refused(run, capsys, argument):
    with pytest.raises(SystemExit):
        run(argument, '0')
    assert f'`{argument}` must be at least 1, but got 0.' in capsys.readouterr().err


def test_connections_are_spread_at_equal_distances(networks):
    layout = (3, 4, 6, 3)
    schemes = {density: str(networks.spread_evenly(density, layout)) for density in networks.DENSITIES}
    assert schemes == {
        0.0: '000 0000 000000 000',
        0.25: '001 0001 000100 010',
        0.5: '010 1010 101010 101',
        0.75: '101 1101 110111 011',
        1.0: '111 1111 111111 111',
    }

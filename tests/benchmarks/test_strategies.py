"""The benchmark of strategies runs at a tiny size; its landscapes and its verdicts are right."""

import csv
import importlib
import sys

import numpy as np
import pytest
from mmengine.config import Config

from ean_mm.search import Reward
from ean_mm.search.masks import every_mask
from ean_mm.structures import ConnectionScheme


@pytest.fixture
def script(monkeypatch):
    return importlib.import_module('benchmarks.strategies.regret')


@pytest.fixture
def table(script):
    return importlib.import_module('benchmarks.strategies.table')


def test_quick_run_leaves_a_row_per_strategy_and_seed_and_a_picture(script, monkeypatch, tmp_path, capsys):
    arguments = [
        '--quick',
        '--cases',
        'resnet20',
        '--strategies',
        'ours',
        'random',
        'paper',
        '--work-dir',
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, 'argv', ['regret.py', *arguments])
    script.main()
    with (tmp_path / 'strategies_quick.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['strategy'], row['seed']) for row in rows] == [
        (name, seed) for name in ('ours', 'random', 'paper') for seed in '01'
    ]
    for row in rows:
        assert 0 <= float(row['regret']) <= float(row['regret_32'])
        assert int(row['num_distinct']) <= 40
    assert (tmp_path / 'strategies_resnet20_quick.png').stat().st_size > 5000
    assert 'Targets, resnet20:' in capsys.readouterr().out


def test_the_best_of_a_table_is_its_best(script):
    landscape = script.make_table(seed=3)
    metrics = [landscape.score(scheme) for scheme in ConnectionScheme.every((3, 3, 3))]
    assert landscape.best == max(metrics)
    effects = script.SyntheticAccuracy(9, 3)
    noise = [metric - effects(mask) for metric, mask in zip(metrics, every_mask(9), strict=True)]
    assert np.std(noise) == pytest.approx(script.ATLAS_NOISE, rel=0.1)


@pytest.mark.parametrize('seed', range(3))
def test_the_best_of_a_large_landscape_is_found(script, seed):
    accuracy = script.SyntheticAccuracy(12, seed)
    assert script.make_landscape((4, 4, 4), seed).best == max(accuracy(mask) for mask in every_mask(12))


def test_a_real_table_comes_with_reward_and_least_size_of_its_config(script, tmp_path):
    schemes = list(ConnectionScheme.every((2, 2)))
    rows = [f'{scheme},{scheme.num_connected},{80 + index % 5}\n' for index, scheme in enumerate(schemes)]
    (tmp_path / 'atlas.csv').write_text('scheme,connected,metric\n' + ''.join(rows))
    hook = dict(type='ean_mm.SearchHook', strategy={}, reward=dict(sparsity_weight=2.0), min_connected=2)
    Config(dict(custom_hooks=[hook], val_dataloader=dict(dataset=dict(num_scenes=400)))).dump(tmp_path / 'config.py')
    landscape = script.read_own(str(tmp_path / 'atlas.csv'), str(tmp_path / 'config.py'))
    # 1001 (number 9) has 84 and half of the sites
    assert (landscape.best, landscape.min_connected, landscape.reward) == (85.0, 2, Reward(sparsity_weight=2.0))
    assert landscape.standard_error == pytest.approx(100 * (0.84 * 0.16 / 400) ** 0.5)
    run = script.search(landscape, dict(type='ean_mm.Exhaustive'), 0, None, 100)
    assert (run.regrets[-1], run.ticket, len(run.regrets)) == (0.0, '10 01', 16)
    assert run.regrets[0] == np.inf  # none is no ticket


def test_committed_tables_are_whole_and_their_facts_those_of_their_configs(script):
    configs = {'resnet20': script.CONFIG, 'regnet14': script.ATLASES.parent / 'regnet14_se_digits.py'}
    for case, config in configs.items():
        landscape = script.choose_landscapes(case, script.parse_arguments(['--cases', case]))(0)
        own = script.read_own(script.ATLASES / script.TABLES[case][0], str(config))
        facts = [(each.reward, each.min_connected, each.best, each.standard_error) for each in (landscape, own)]
        assert facts[0] == facts[1]
        assert 2 ** sum(landscape.blocks_per_stage) == {'resnet20': 512, 'regnet14': 16_384}[case]


def test_a_table_of_ones_own_needs_its_case_and_the_case_needs_a_table(script, capsys):
    for arguments in (['--cases', 'own'], ['--atlas', 'x.csv']):
        with pytest.raises(SystemExit):
            script.parse_arguments(arguments)
        assert '`--atlas` must be given with the case own' in capsys.readouterr().err


def make_runs(script, *curves):
    return [script.Run(np.array(curve), 30, 1.0, '0') for curve in curves]


def test_verdicts_of_a_table(script, table):
    runs = {
        'ours': make_runs(script, [4.0, 0.9], [4.0, 0.2], [4.0, 0.1]),
        'random': make_runs(script, *[[5.0, 1.0]] * 3),
        'paper': make_runs(script, *[[5.0, 0.3]] * 3),
    }
    text = table.describe_targets('atlas', runs, error=0.25)
    assert 'a quarter of random: at most 0.250; got 0.200: reached' in text
    assert 'half of paper: at most 0.150; got 0.200: not reached' in text
    assert 'at least 2.7 of 3 seeds; got 2: not reached' in text


def test_verdicts_of_a_landscape_compare_a_tenth_with_the_whole(script, table):
    runs = {
        'ours': make_runs(script, [4.0, 1.0, 0.1], [4.0, 3.0, 0.1]),
        'paper': make_runs(script, [5.0] * 19 + [2.0], [5.0] * 19 + [3.5]),
    }
    text = table.describe_targets('sites33', runs, error=None)
    assert "tenth of paper's proposals (median 3), below paper's at its end: at most 2.750; got 0.100: reached" in text
    assert "tenth of paper's distinct schemes (median 2), below paper's at its end: at most 2.750; got 2.000" in text
    assert text.count('better in 2 of 2 seeds') == 2

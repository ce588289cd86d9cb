"""The benchmarks of deployment run at a small size and leave the rows that they promise; no test asserts a time."""

import csv
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from ean_mm.launch.training import METRICS_FILE, make_runner

pytest.importorskip('mmpretrain')
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(monkeypatch):

    def run_script(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        runpy.run_module(name, run_name='__main__')

    return run_script


def read(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_latency_of_deployed_networks(run, tmp_path):
    run(
        'benchmarks.deployment.latency',
        '--batch-sizes',
        '1',
        '--image-size',
        '32',
        '--rounds',
        '1',
        '--work-dir',
        tmp_path,
    )
    rows = read(tmp_path / 'deploy_latency.csv')
    for precision in ('fp32', 'bf16'):
        names = [row['network'] for row in rows if row['precision'] == precision]
        assert {'plain', 'plain, accelerated', 'ASR everywhere, folded', 'SE in every block, accelerated'} <= set(names)
        assert len(names) == len(set(names))
    assert all(float(row['ratio_low']) <= float(row['ratio']) <= float(row['ratio_high']) for row in rows)
    assert all(row[key] for row in rows for key in ('device', 'threads', 'torch', 'date', 'rounds'))


def test_asr_on_digits_from_trained_weights(run, tmp_path):
    for name, seed in (
        (name, seed) for name in ('resnet14_digits', 'resnet14_se_digits', 'resnet14_asr_se_digits') for seed in (0, 1)
    ):
        directory = tmp_path / f'{name}_{seed}'
        cfg = Config.fromfile(ROOT / f'configs/ean/{name}.py')
        model = make_runner(cfg, directory / 'start', seed).model
        torch.save({'state_dict': model.state_dict()}, directory / f'epoch_{cfg.max_epochs}.pth')
        (directory / METRICS_FILE).write_text(json.dumps({'accuracy/top1': 10.0 + seed}))
    run(
        'benchmarks.deployment.asr_digits',
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
    rows = {(row['network'], row['state']): row for row in read(tmp_path / 'asr_digits.csv')}
    assert set(rows) == {
        ('plain', 'trained'),
        *((name, state) for name in ('SE', 'ASR(SE)') for state in ('trained', 'deployed')),
    }
    assert rows['ASR(SE)', 'trained']['accuracy'] == '10 11'
    assert (
        rows['ASR(SE)', 'deployed']['params']
        == rows['plain', 'trained']['params']
        < rows['ASR(SE)', 'trained']['params']
    )

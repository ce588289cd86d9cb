"""tools/replay.py as a user starts it."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / 'configs/ean/resnet20_se_digits.py')


@pytest.fixture
def atlas_path(tmp_path):
    path = tmp_path / 'atlas.csv'
    schemes = [''.join(bits) for bits in product('01', repeat=9)]
    rows = [f'{s[:3]} {s[3:6]} {s[6:]},{s.count("1")},{90 + int(s, 2) / 512}\n' for s in schemes]
    path.write_text('scheme,connected,metric\n' + ''.join(rows))
    return path


def run(*arguments, cwd):
    command = [sys.executable, str(ROOT / 'tools/replay.py'), *map(str, arguments)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_a_strategy_is_replayed(atlas_path, tmp_path):
    options = ['--cfg-options', 'custom_hooks.1.reward.sparsity_weight=0.0']
    result = run(atlas_path, DIGITS, '--seeds', 2, '--num-steps', 5, '--max-schemes', 20, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert 'PairSurrogate on the scores of' in result.stdout
    assert "Best of the 512 schemes: '111 111 111', accuracy/top1 91.00, reward 91.00; 2 of 2 seeds" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ['atlas.csv', 'replay.png']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nowhere.csv', DIGITS], "error: 'nowhere.csv' is not a usable atlas: it must be a readable file"),
        (['atlas.csv', 'nowhere.py'], "error: `config` must be a file, but got 'nowhere.py'"),
        (['atlas.csv', DIGITS, '--seeds', 0], 'error: `seeds` must be a whole number of at least 1, but got 0'),
    ],
)
def test_wrong_input_gets_one_sentence(atlas_path, tmp_path, arguments, message):
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].startswith(message)
    assert 'Traceback' not in result.stderr

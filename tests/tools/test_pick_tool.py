"""tools/pick.py as a user starts it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments, cwd):
    command = [sys.executable, str(ROOT / 'tools/pick.py'), *map(str, arguments)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'COLUMNS': '400'}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_no_search_gets_one_sentence(tmp_path):
    result = run('.', '--pick', 'best', cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: `work_dir` must hold a finished search, but got '.': ")
    assert result.stderr.strip().endswith('Run tools/search.py first.')


def test_the_help_names_every_condition(tmp_path):
    text = ' '.join(run('--help', cwd=tmp_path).stdout.split())
    assert 'best, or max-latency=..., max-params=..., max-macs=..., max-connected=..., min-metric=...' in text
    assert '+5%;' in text

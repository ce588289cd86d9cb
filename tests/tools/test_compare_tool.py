"""tools/compare.py and tools/fidelity.py as a user starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / 'configs/ean/resnet20_se_digits.py')

pytest.importorskip('mmpretrain')


@pytest.mark.parametrize(
    ('tool', 'arguments', 'code', 'message'),
    [
        ('fidelity', [DIGITS], 1, 'error: `work_dir` must hold a finished search'),
        ('compare', [DIGITS, '--ratios', '0.5'], 1, 'error: `work_dir` must hold a finished search'),
        ('compare', [DIGITS, '--ratios', '0.5', '--schemes', 'ticket'], 2, 'leave out --schemes'),
    ],
)
def test_wrong_input_gets_one_sentence(tmp_path, tool, arguments, code, message):
    result = subprocess.run(
        [sys.executable, str(ROOT / f'tools/{tool}.py'), *arguments],
        cwd=tmp_path,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.returncode == code
    assert message in result.stderr.splitlines()[-1]
    assert 'Traceback' not in result.stderr

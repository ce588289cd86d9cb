"""tools/report.py as a user starts it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = 'import sys, ean_mm.report; sys.exit("torch" in sys.modules or "matplotlib" in sys.modules)'


def run(*arguments, cwd):
    command = [sys.executable, str(ROOT / 'tools/report.py'), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_the_page_is_built_from_what_there_is(tmp_path):
    (tmp_path / 'run').mkdir()
    result = run('run', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == 'Report: run/report.html\n'
    assert 'Not in this report' in (tmp_path / 'run/report.html').read_text()


def test_wrong_input_gets_one_sentence(tmp_path):
    result = run('nowhere', cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, '')
    assert result.stderr.strip() == (
        "error: `work_dir` must be a folder, but got 'nowhere'; tools/search.py makes one."
    )


def test_no_network_is_needed_to_write_it():
    """Neither torch nor matplotlib is imported, which would take longer than all the rest."""
    assert subprocess.run([sys.executable, '-c', CODE], cwd=ROOT, check=False).returncode == 0

"""Two ranks score group by group as one does, and both know the result."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from group_process import score

FOLDER = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize('metric', ['mean', 'ratio'])
def test_two_ranks_read_the_same_groups_as_one(tmp_path, metric):
    path = os.pathsep.join([str(FOLDER), str(FOLDER.parents[1])])
    processes = [
        subprocess.Popen(
            [sys.executable, str(FOLDER / 'group_process.py'), str(rank), str(tmp_path / 'store'), metric],
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': path},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in outputs)
    assert first == second == score(0, 1, metric)
    assert first['scores'] == first['metrics']

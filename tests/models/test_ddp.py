"""Two gloo ranks with schemes that leave stages fully off: no hang, no error about unused parameters."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    'attention', ['ean_mm.SE', 'ean_mm.EAAConv2d', pytest.param('ean_mm.DIA', marks=pytest.mark.slow)]
)
def test_two_ranks_train_with_a_stage_off(attention):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('ddp_process.py')), attention],
            env={
                **os.environ,
                'RANK': str(rank),
                'WORLD_SIZE': '2',
                'MASTER_ADDR': '127.0.0.1',
                'MASTER_PORT': str(port),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], [error for _, error in outputs]
    assert all(text.endswith('trained\n') for text, _ in outputs)

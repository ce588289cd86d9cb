"""tools/adapt_ticket.py as a user starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ean_mm.structures import Ticket

ROOT = Path(__file__).parents[2]
QUOTED = ROOT / 'configs/ean/tickets/resnet50_sge_quoted.json'
R101 = ['--blocks-per-stage', 3, 4, 23, 3]


def run(*arguments, cwd):
    command = [sys.executable, str(ROOT / 'tools/adapt_ticket.py'), *map(str, arguments)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_ticket_is_mapped_and_both_are_shown(tmp_path):
    result = run(QUOTED, 'new.json', *R101, '--rule', 'nearest', '--depth', 101, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        'ResNet, depth 50, blocks 3/4/6/3, channels 256/512/1024/2048: 100 1011 010011 011',
        'ResNet, depth 101, blocks 3/4/23/3, channels 256/512/1024/2048: 100 1011 00011110000000001111111 011',
        'Ticket: new.json',
    ]
    assert Ticket.load(tmp_path / 'new.json') == Ticket.load(QUOTED).adapt((3, 4, 23, 3), 'nearest')


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (['nowhere.json', 'new.json', *R101, '--rule', 'nearest'], 1, "error: 'nowhere.json' is not a usable ticket"),
        (
            [QUOTED, 'new.json', *R101, '--rule', 'first_stages'],
            1,
            'error: `blocks_per_stage` must be the first stages',
        ),
        ([QUOTED, 'old.json', *R101, '--rule', 'nearest'], 2, "error: `out` must be a new file, but got 'old.json'"),
        ([QUOTED, 'new.json', *R101], 2, 'error: the following arguments are required: --rule'),
    ],
)
def test_wrong_input_gets_one_sentence_and_writes_nothing(tmp_path, arguments, code, message):
    (tmp_path / 'old.json').write_text('kept')
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == code
    assert message in result.stderr.strip().splitlines()[-1]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {'old.json': 'kept'}

"""tools/transfer.py as a user starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_tasks import BACKBONE, SEGMENTOR, load_tiny, write_ticket

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / f'configs/ean/{SEGMENTOR}.py'
FULL = dict(type='ean_mm.ResNetCifar', depth=20)
NO_WEIGHTS = ['--cfg-options', 'model.backbone.init_cfg=None']

pytest.importorskip('mmseg.models')


def run(*arguments, cwd):
    command = [sys.executable, str(ROOT / 'tools/transfer.py'), *map(str, arguments)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_chosen_schemes_are_trained_and_shown(tmp_path):
    ticket = write_ticket(tmp_path / 'ticket.json', '1 0 1')
    load_tiny(SEGMENTOR, tmp_path).dump(str(tmp_path / 'tiny.py'))
    result = run(ticket, tmp_path / 'tiny.py', '--schemes', 'none', 'ticket', '--seeds', 0, 1, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    names = {path.name for path in (tmp_path / 'work').iterdir() if path.is_dir()}
    assert names == {'none_0', 'none_1', 'ticket_0', 'ticket_1', 'common'}
    assert '│ ticket │ 1 0 1' in result.stdout
    assert result.stdout.splitlines()[-1] == f'Picture: {tmp_path / "work" / "transfer.png"}'


@pytest.mark.parametrize(
    ('backbone', 'arguments', 'message'),
    [
        (None, [], "`ticket` must be a file, but got 'ticket.json'; tools/search.py leaves one."),
        (
            FULL,
            [],
            '`model.backbone.init_cfg.checkpoint` must be a file of weights, but got '
            "'work_dirs/resnet20_se_digits/supernet.pth', which does not exist; search first (tools/search.py leaves it)",
        ),
        (BACKBONE, NO_WEIGHTS, 'but got ResNetCifar, depth 20, blocks 3/3/3, channels 16/32/64; search again'),
    ],
)
def test_wrong_input_gets_one_sentence(tmp_path, backbone, arguments, message):
    if backbone is not None:
        write_ticket(tmp_path / 'ticket.json', 'all', backbone)
    if arguments:
        arguments = [*arguments, *(f'{name}_dataloader.dataset.num_scenes=2' for name in ('train', 'val', 'test'))]
    result = run('ticket.json', CONFIG, *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert 'Traceback' not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith('error: ')


def test_an_unknown_scheme(tmp_path):
    result = run('ticket.json', CONFIG, '--schemes', 'best', cwd=tmp_path)
    assert result.returncode == 2
    assert "invalid choice: 'best' (choose from" in result.stderr

"""The tools as a user starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / 'configs/ean/resnet20_se_digits.py')
RESNET50 = str(ROOT / 'configs/ean/resnet50_se.py')

pytest.importorskip('mmpretrain')


def run(script, *arguments, cwd):
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_search_runs_under_mmpretrains_own_train_script(tiny_config, tmp_path):
    import mmpretrain

    script = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'train.py'
    if not script.exists():
        pytest.skip('this build of mmpretrain ships without its tools')
    tiny_config.dump(str(tmp_path / 'tiny.py'))
    result = run(script, tmp_path / 'tiny.py', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'work' / 'ticket.json').exists()


def test_the_printed_next_command_runs_as_printed(tiny_config, tmp_path):
    tiny_config.log_level = 'INFO'
    tiny_config.dump(str(tmp_path / 'tiny.py'))
    searched = run(ROOT / 'tools/search.py', tmp_path / 'tiny.py', cwd=ROOT)
    assert searched.returncode == 0, searched.stderr
    printed = next(line for line in searched.stdout.splitlines() if line.startswith('Next:'))
    _, python, script, config = printed.split()
    assert python == 'python'
    trained = run(ROOT / script, config, '--work-dir', tmp_path / 'retrain', cwd=ROOT)
    assert trained.returncode == 0, trained.stderr
    checkpoint = tmp_path / 'retrain' / 'epoch_2.pth'
    tested = run(ROOT / 'tools/test.py', config, checkpoint, '--work-dir', tmp_path / 'test', cwd=ROOT)
    assert tested.returncode == 0, tested.stderr
    metrics = [json.loads(path.read_text()) for path in (tmp_path / 'test').glob('*/*.json')]
    assert 'accuracy/top1' in metrics[0]


@pytest.mark.parametrize(
    ('tool', 'arguments', 'message'),
    [
        ('search', [RESNET50], "but got 'data/imagenet' where 'data/imagenet' is missing; get the data from"),
        ('train', [RESNET50], "but got 'data/imagenet' where 'data/imagenet' is missing; get the data from"),
        ('search', ['nowhere.py'], "`config` must be a file, but got 'nowhere.py'"),
        ('compare', [DIGITS], '`work_dir` must hold a finished search'),
        (
            'search',
            [DIGITS, '--supernet', 'nowhere.pth'],
            "`supernet` must be a file, but got 'nowhere.pth'",
        ),
        (
            'search',
            [DIGITS, '--cfg-options', 'model.backbone.attention.type=ean_mm.SEE'],
            "but got 'ean_mm.SEE'; did you mean 'ean_mm.SE'",
        ),
        (
            'search',
            [DIGITS, '--cfg-options', 'custom_hooks.1.reward.metric=top1'],
            "`reward.metric` must be one the evaluator reports ('accuracy/top1'), but got 'top1'",
        ),
    ],
)
def test_wrong_input_gets_one_sentence(tmp_path, tool, arguments, message):
    result = run(ROOT / f'tools/{tool}.py', *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert 'Traceback' not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith('error: ')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['resnet20_se_digits', 'resnet50_se', 'resnet50_dia', 'resnet164_se_cifar100'])
def test_any_config_can_be_rehearsed_without_its_data(tmp_path, name):
    result = run(ROOT / 'tools/search.py', ROOT / f'configs/ean/{name}.py', '--fast-dev-run', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    directory = tmp_path / 'work_dirs' / name / 'fast_dev_run'
    assert (directory / 'ticket.json').exists()
    assert list((directory / 'retrain' / 'fast_dev_run').glob('iter_2.pth'))

"""The tools as a user starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from segmentation_data import shrink
from tiny_tasks import load_tiny

from ean_mm.structures import Ticket

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / 'configs/ean/resnet20_se_digits.py')
RESNET50 = str(ROOT / 'configs/ean/resnet50_se.py')

NO_WEIGHTS = ('type=Pretrained', 'checkpoint=no/where.pth')

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
            [DIGITS, '--cfg-options', 'load_from=no/where.pth'],
            "`load_from` must be a file of weights, but got 'no/where.pth', which does not exist; train them first,",
        ),
        (
            'search',
            [DIGITS, '--fast-dev-run', '--cfg-options', *(f'model.backbone.init_cfg.{each}' for each in NO_WEIGHTS)],
            "`model.backbone.init_cfg.checkpoint` must be a file of weights, but got 'no/where.pth', which does not exist;",
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


def load_counter(directory):
    """The search of ShanghaiTech, an eighth as wide and on small crops; its data is missing."""
    cfg = Config.fromfile(ROOT / 'configs/ean/counter_resnet50_se_shanghaitech_b.py')
    cfg.model.backbone.backbone.update(base_channels=8, stem_channels=8)
    cfg.model.backbone.attention.reduction = 4
    cfg.model.backbone.init_cfg = None
    cfg.model.head.update(in_channels=128, hidden_channels=16)
    cfg.train_dataloader.dataset.dataset.pipeline[1].update(height=64, width=80)
    cfg.custom_hooks[1].update(min_connected=1, retrain_config=None)
    return cfg


def load_segmentor(directory):
    """FCN on Cityscapes as a search, narrow and on small crops; its data is missing."""
    cfg = shrink(
        Config.fromfile(ROOT / 'configs/ean/fcn_resnet50_se_ticket_cityscapes.py'), directory / 'no', directory
    )
    cfg.model.backbone.ticket = None
    train, test = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
    held_out = dict(type='ean_mm.HoldOut', num_images=500)
    cfg.train_dataloader.dataset = dict(held_out, part='train', dataset=train)
    cfg.val_dataloader.dataset = dict(held_out, part='reward', dataset=dict(train, pipeline=test.pipeline))
    search = load_tiny('fcn_resnet20_se_digitscenes', directory)
    cfg.custom_hooks = search.custom_hooks
    return cfg


@pytest.mark.parametrize('load', [load_counter, load_segmentor])
def test_counting_and_segmentation_are_rehearsed_without_their_data(tmp_path, load):
    if load is load_segmentor:
        pytest.importorskip('mmseg.models')
    cfg = load(tmp_path)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.log_level = 'INFO'
    cfg.dump(str(tmp_path / 'small.py'))
    result = run(ROOT / 'tools/search.py', tmp_path / 'small.py', '--fast-dev-run', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for name in ('train', 'val', 'test'):
        assert result.stdout.count(f'{name}_dataloader runs on random images: `data_root` must hold') == 1
    directory = tmp_path / 'work/fast_dev_run'
    ticket = Ticket.load(directory / 'ticket.json')
    metric = cfg.custom_hooks[1].reward.metric
    assert ticket.metrics.keys() == {metric, 'reward'}
    (scalars,) = (directory / 'retrain/fast_dev_run').rglob('scalars.json')
    last = json.loads(scalars.read_text().splitlines()[-1])
    assert {'mIoU', 'count/neg_mae'} & last.keys() == {metric}
    assert (directory / 'retrain/fast_dev_run/iter_2.pth').exists()


@pytest.mark.slow
@pytest.mark.parametrize('name', ['resnet20_se_digits', 'resnet50_se', 'resnet50_dia', 'resnet164_se_cifar100'])
def test_any_config_can_be_rehearsed_without_its_data(tmp_path, name):
    result = run(ROOT / 'tools/search.py', ROOT / f'configs/ean/{name}.py', '--fast-dev-run', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    directory = tmp_path / 'work_dirs' / name / 'fast_dev_run'
    assert (directory / 'ticket.json').exists()
    assert list((directory / 'retrain' / 'fast_dev_run').glob('iter_2.pth'))

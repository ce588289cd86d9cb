"""A shipped segmentation config under our tools, and under mmseg's own, which know nothing of this package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from segmentation_data import SIZE, shrink, write_data
from transfer_cases import train_classifier

from ean_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
NAME = 'fcn_resnet50_se_ticket_cityscapes'
CONFIG = ROOT / f'configs/ean/{NAME}.py'
# In a process of its own, so that nothing but the config brings in this package.
MMSEG = """
import runpy, sys
from pathlib import Path
import numpy as np
import torch
from mmseg.apis import inference_model, init_model

tools, config, work_dir = map(Path, sys.argv[1:])
assert 'ean_mm' not in sys.modules
sys.argv = ['train.py', str(config)]
runpy.run_path(str(tools / 'train.py'), run_name='__main__')
checkpoint = str(work_dir / 'iter_2.pth')
sys.argv = ['test.py', str(config), checkpoint, '--work-dir', str(work_dir / 'test')]
runpy.run_path(str(tools / 'test.py'), run_name='__main__')
model = init_model(str(config), checkpoint, device='cpu')
image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
np.save(work_dir / 'logits.npy', inference_model(model, image).seg_logits.data.numpy())
"""


def run(*command, cwd=ROOT):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture
def config(tmp_path):
    """The shipped config, shrunk, on data and with the weights of a trained classifier."""
    pytest.importorskip('mmpretrain.models')
    pytest.importorskip('mmseg.models')
    write_data('cityscapes', tmp_path / 'data')
    ticket, checkpoint = train_classifier(tmp_path)
    cfg = Config.fromfile(CONFIG)
    init_cfg = dict(cfg.model.backbone.init_cfg, checkpoint=str(checkpoint))
    cfg = shrink(cfg, tmp_path / 'data', tmp_path)
    assert cfg.model.backbone.ticket == ticket
    cfg.model.backbone.init_cfg = init_cfg
    path = tmp_path / f'{NAME}.py'
    cfg.dump(str(path))
    return path


@pytest.mark.slow
def test_mmsegs_own_tools_and_inference(config, tmp_path):
    import mmseg

    tools = Path(mmseg.__file__).parent / '.mim/tools'
    if not tools.exists():
        pytest.skip('this build of mmseg ships without its tools')
    result = run('-c', MMSEG, tools, config, tmp_path / 'work')
    assert result.returncode == 0, result.stderr[-2000:]
    assert 'Checkpoint keys of the backbone: 334 loaded, 0 new, 0 ignored' in result.stdout + result.stderr
    (scalars,) = (tmp_path / 'work/test').glob('*/*.json')
    tested = json.loads(scalars.read_text())
    trained = [json.loads(line) for path in (tmp_path / 'work').rglob('scalars.json') for line in open_lines(path)]
    assert tested['mIoU'] == next(line['mIoU'] for line in trained if 'mIoU' in line)
    logits = np.load(tmp_path / 'work/logits.npy')
    np.testing.assert_allclose(logits, logits_by_hand(config, tmp_path / 'work/iter_2.pth'), atol=1e-3)


def open_lines(path):
    return path.read_text().splitlines()


def logits_by_hand(config, checkpoint):
    """What the trained network says of the image, computed from its two parts without MM's inference."""
    cfg = Config.fromfile(config)
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=False)['state_dict'])
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    x = torch.from_numpy(image[..., ::-1].astype(np.float32)).permute(2, 0, 1)[None]
    mean, std = (torch.tensor(cfg.model.data_preprocessor[key]).view(1, 3, 1, 1) for key in ('mean', 'std'))
    with torch.no_grad():
        maps = model.decode_head(model.backbone((x - mean) / std))
    return torch.nn.functional.interpolate(maps, size=SIZE, mode='bilinear', align_corners=False)[0].numpy()


@pytest.mark.slow
def test_our_tools(config, tmp_path):
    trained = run(ROOT / 'tools/train.py', config)
    assert trained.returncode == 0, trained.stderr[-2000:]
    tested = run(ROOT / 'tools/test.py', config, tmp_path / 'work/iter_2.pth', '--work-dir', tmp_path / 'test')
    assert tested.returncode == 0, tested.stderr[-2000:]
    assert any('mIoU' in json.loads(path.read_text()) for path in (tmp_path / 'test').glob('*/*.json'))


DATA = ['train_dataloader.dataset.data_root=data', 'val_dataloader.dataset.data_root=data']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ([], "but got 'data/cityscapes' where 'data/cityscapes' is missing; get the data from https://www.cityscapes"),
        (
            DATA,
            '`model.backbone.init_cfg.checkpoint` must be a file of weights, but got '
            "'work_dirs/resnet50_se_ticket/epoch_120.pth', which does not exist; train them first",
        ),
        ([*DATA, 'model.backbone.init_cfg=None'], 'work_dirs/resnet50_se/ticket.json'),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(tmp_path, options, message):
    pytest.importorskip('mmseg.models')
    write_data('cityscapes', tmp_path / 'data')
    options = ['--cfg-options', *options] if options else []
    result = run(ROOT / 'tools/train.py', CONFIG, *options, cwd=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert 'Traceback' not in result.stderr

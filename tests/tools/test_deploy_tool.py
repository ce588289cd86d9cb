"""tools/deploy.py as a user starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deployments import PLAIN, backbone_of, names, results_of
from random_networks import save_model

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/ean/resnet14_asr_se_digits.py'


def run(*arguments, cwd):
    command = [sys.executable, str(ROOT / 'tools/deploy.py'), *map(str, arguments)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_a_network_is_deployed(tiny_config, tmp_path):
    tiny_config.custom_hooks = []
    tiny_config.model.backbone.backbone = PLAIN
    save_model(tiny_config, tmp_path / 'trained.pth')
    tiny_config.dump(str(tmp_path / 'tiny.py'))
    options = ['--max-drop', 100, '--metric', 'accuracy/top1', '--format', 'pth', 'safetensors']
    few = ['--num-images', 10, '--num-calibration-images', 20, '--work-dir', tmp_path / 'here']
    result = run(tmp_path / 'tiny.py', tmp_path / 'trained.pth', *options, *few, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / 'here/deployed'
    files = ['deployed.pth', 'deployed.safetensors']
    assert result.stdout.splitlines()[-2:] == [f'File:    {folder / name}' for name in files]
    assert '│ deployed' in result.stdout
    assert 'on 10 images' in result.stdout
    assert backbone_of(folder) == PLAIN
    assert set(names(folder)) >= {*files, 'deployed.py', 'deployed.json', 'gates.png'}
    assert results_of(folder)['agreement']['num_images'] == 10


def test_wrong_input_gets_one_sentence(tmp_path):
    pytest.importorskip('mmpretrain')
    result = run(CONFIG, 'trained.pth', '--format', 'onnx', cwd=tmp_path)
    assert result.returncode == 1
    message = "error: `checkpoint` must be a file, but got 'trained.pth'; train one with tools/train.py."
    assert result.stderr.strip().splitlines()[-1] == message
    assert 'Traceback' not in result.stderr
    assert not (tmp_path / 'work_dirs').exists()

"""Two ranks on the CPU: the same files as one, written by rank 0 alone."""

import copy
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.runner import Runner

from ean_mm.evaluation import load_supernet

pytestmark = pytest.mark.slow
WRAPPER = dict(type='MMDistributedDataParallel', device_ids=None, find_unused_parameters=True)


def run_ranks(cfg, directory, num_ranks=2):
    """Run a config on several ranks; return their exit codes and errors."""
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'pytorch'
    cfg.env_cfg = dict(dist_cfg=dict(backend='gloo'))
    cfg.model_wrapper_cfg = cfg.get('model_wrapper_cfg', WRAPPER)
    path = directory / 'ranks.py'
    cfg.dump(str(path))
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('rank_process.py')), str(path)],
            env={
                **os.environ,
                'RANK': str(rank),
                'LOCAL_RANK': str(rank),
                'WORLD_SIZE': str(num_ranks),
                'MASTER_ADDR': '127.0.0.1',
                'MASTER_PORT': str(port),
                'OMP_NUM_THREADS': '1',
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(num_ranks)
    ]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    return [process.returncode for process in processes], errors


def test_two_ranks_search_as_one(tiny_config, tmp_path):
    Runner.from_cfg(copy.deepcopy(tiny_config)).train()
    supernet = Path(tiny_config.work_dir) / 'supernet.pth'
    other = copy.deepcopy(tiny_config)
    other.work_dir = str(tmp_path / 'two')
    other.custom_hooks[1].supernet = str(supernet)
    codes, errors = run_ranks(other, tmp_path)
    assert codes == [0, 0], errors
    for name in ('search.jsonl', 'ticket.json'):
        alone = (Path(tiny_config.work_dir) / name).read_bytes()
        assert (tmp_path / 'two' / name).read_bytes() == alone, name
    times = (tmp_path / 'two' / 'timing.jsonl').read_text().splitlines()
    assert len(times) == 5  # the controls and four steps, noted by one rank


def test_two_ranks_race_as_one(tiny_config, tmp_path):
    tiny_config.val_dataloader.batch_size = 14
    tiny_config.val_dataloader.dataset.num_scenes = 99  # two ranks get 50 each
    tiny_config.custom_hooks[1].racing = dict(confidence=0.9, min_slices=2)
    tiny_config.custom_hooks[1].reward.sparsity_weight = 100.0
    Runner.from_cfg(copy.deepcopy(tiny_config)).train()
    alone = (Path(tiny_config.work_dir) / 'search.jsonl').read_bytes()
    assert alone.count(b'num_images') > 3
    other = copy.deepcopy(tiny_config)
    other.work_dir = str(tmp_path / 'two')
    other.val_dataloader.batch_size = 7
    other.custom_hooks[1].supernet = str(Path(tiny_config.work_dir) / 'supernet.pth')
    codes, errors = run_ranks(other, tmp_path)
    assert codes == [0, 0], errors
    assert (tmp_path / 'two' / 'search.jsonl').read_bytes() == alone


def test_two_ranks_train_one_supernet_and_search_it(tiny_config, tmp_path):
    tiny_config.custom_hooks[0].check_ranks = True
    codes, errors = run_ranks(tiny_config, tmp_path)
    assert codes == [0, 0], errors
    directory = Path(tiny_config.work_dir)
    assert load_supernet(directory / 'supernet.pth').identity
    assert (directory / 'results.json').exists()


def test_unused_parameters_must_be_looked_for(tiny_config, tmp_path):
    tiny_config.model_wrapper_cfg = dict(WRAPPER, find_unused_parameters=False)
    codes, errors = run_ranks(tiny_config, tmp_path)
    assert 0 not in codes
    assert '`find_unused_parameters` must be True to train a supernet on several ranks' in errors[0]

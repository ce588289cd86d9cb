"""Train a config and test it, once."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from ..structures import write_atomically

METRICS_FILE = 'metrics.json'  # of the test; where it is, the training has finished


def train_once(
    cfg: Config, work_dir: Path, seed: int, finish: Callable[[Runner], object] | None = None
) -> dict[str, float]:
    """Train a config with a seed and test it, unless that has been done; return the test metrics.

    Everything happens in ``work_dir``. A training that was interrupted goes on from its last checkpoint; one that has finished
    left ``metrics.json``, which is read. Whether it was made by the same config is not looked at.

    Args:
        cfg: config of the training; what it says of work directory, resuming and seed is replaced, and ``load_from`` counts
            at the first start only.
        work_dir: of this training alone.
        seed: of the training.
        finish: called with the runner after the test, before the training counts as finished.
    """
    path = work_dir / METRICS_FILE
    if not path.exists():
        cfg = copy.deepcopy(cfg)
        cfg.resume = (work_dir / 'last_checkpoint').exists()
        if cfg.resume:
            cfg.load_from = None  # mmengine would resume from there
        runner = make_runner(cfg, work_dir, seed)
        runner.train()
        metrics = {key: float(value) for key, value in runner.test().items()}
        if finish is not None:
            finish(runner)
        write_atomically(path, json.dumps(metrics).encode())
    return json.loads(path.read_text())


def make_runner(cfg: Config, work_dir: Path, seed: int) -> Runner:
    """Build the runner of a config in a work directory, with a seed; other settings of ``randomness`` stay.

    Args:
        cfg: left as it is.
        work_dir: of the runner.
        seed: of the runner.
    """
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = str(work_dir)  # the default is the time in seconds, and runs that share it share their log
    cfg.randomness = {**(cfg.get('randomness') or {}), 'seed': seed}
    return Runner.from_cfg(cfg)

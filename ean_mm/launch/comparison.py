"""Train the ticket, and what it is to be compared with, from scratch with one recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from ..hooks.retrain_config import RETRAIN_FILE
from ..hooks.search_outcome import RESULTS_FILE
from ..structures import write_atomically
from ..visualization import ResultRow, format_results

NAMES = ('none', 'all', 'ticket')
TITLE = 'trained: from scratch, on the test images; supernet: score of the shared weights on the reward images'


def compare(directory: Path, names: Sequence[str], seeds: Sequence[int]) -> str:
    """Train each named scheme with each seed, and return the table as text.

    Runs in ``directory/compare/<name>_<seed>``; one that has finished is not run again, one that was interrupted
    resumes from its last epoch.

    Args:
        directory: work directory of a finished search.
        names: of 'none', 'all', 'ticket'.
        seeds: of the training.

    Raises:
        ValueError: if the directory holds no finished search.
    """
    results = _read_results(directory)
    rows = {row['name']: ResultRow(**{**row, 'trained': ()}) for row in results['rows']}
    for name in NAMES:
        done = [_train(directory, name, seed, results['metric'], name in names) for seed in seeds]
        trained = tuple(value for value in done if value is not None)
        rows[name] = replace(rows[name], trained=trained)
    lines = [
        format_results([rows[name] for name in NAMES], results['metric'], TITLE),
        f'Ticket: {directory / "ticket.json"}',
        f'Next:   python tools/train.py {directory / RETRAIN_FILE}',
    ]
    return '\n'.join(lines)


def _read_results(directory: Path) -> dict:
    path = directory / RESULTS_FILE
    if not path.is_file() or not (directory / RETRAIN_FILE).is_file():
        raise ValueError(
            f'`work_dir` must hold a finished search, but got {str(directory)!r} without {RESULTS_FILE} '
            f'and {RETRAIN_FILE}; run tools/search.py first.'
        )
    return json.loads(path.read_text())


def _train(directory: Path, name: str, seed: int, metric: str, may_run: bool) -> float | None:
    """The test metric of a scheme trained from scratch; None if it has not been and may not be."""
    work_dir = directory / 'compare' / f'{name}_{seed}'
    done = work_dir / 'metrics.json'
    if not done.exists():
        if not may_run:
            return None
        runner = Runner.from_cfg(_make_config(directory, name, seed, work_dir))
        runner.train()
        metrics = {key: float(value) for key, value in runner.test().items()}
        write_atomically(done, json.dumps(metrics).encode())
    return json.loads(done.read_text())[metric]


def _make_config(directory: Path, name: str, seed: int, work_dir: Path) -> Config:
    cfg = Config.fromfile(directory / RETRAIN_FILE)
    if name != 'ticket':
        backbone = cfg.model.backbone
        del backbone['ticket']
        backbone.scheme = name
    cfg.work_dir = str(work_dir)
    cfg.randomness = dict(seed=seed)
    cfg.resume = (work_dir / 'last_checkpoint').exists()
    return cfg

"""Train the ticket, and what it is to be compared with, from scratch with one recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config

from ..hooks.retrain_config import RETRAIN_FILE
from ..hooks.search_outcome import COMPARISON_FOLDER, RESULTS_FILE
from ..hooks.wrapped_backbone import find_backbone_config
from ..visualization import ResultRow, format_results
from .training import METRICS_FILE, train_once

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
        done = [_test_metric(directory, name, seed, results['metric'], name in names) for seed in seeds]
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


def _test_metric(directory: Path, name: str, seed: int, metric: str, may_run: bool) -> float | None:
    """The test metric of a scheme trained from scratch; None if it has not been and may not be."""
    work_dir = directory / COMPARISON_FOLDER / f'{name}_{seed}'
    if not may_run and not (work_dir / METRICS_FILE).exists():
        return None
    return train_once(_make_config(directory, name), work_dir, seed)[metric]


def _make_config(directory: Path, name: str) -> Config:
    cfg = Config.fromfile(directory / RETRAIN_FILE)
    if name != 'ticket':
        backbone = find_backbone_config(cfg.model)
        del backbone['ticket']
        backbone['scheme'] = name
    return cfg

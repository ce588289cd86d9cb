"""Trainings from scratch, one after the other: each bound to its recipe, run once, with the time that is left."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.logging import print_log

from ..hooks.identity import without_speed
from ..hooks.wrapped_backbone import find_backbone_config
from ..structures import ConnectionScheme, write_atomically
from ..structures.shorten import shorten_difference
from .config_entries import OF_ONE_RUN, without
from .training import METRICS_FILE, train_once

RECIPE_FILE = 'recipe.json'
TIMING_FILE = 'timing.json'
LOCK_FILE = 'training.lock'
_OF_LOGS = ('experiment_name', 'filename', 'log_level', 'log_processor', 'visualizer', 'vis_backends')

Announce = Callable[[str], None]


def log_line(text: str) -> None:
    """Write a line to the current log."""
    print_log(text, logger='current')


@dataclass(frozen=True)
class Training:
    """A network to be trained from scratch.

    Attributes:
        name: of its scheme, for people.
        scheme: which sites it connects.
        cfg: of the training, with the scheme in it.
        work_dir: of this training alone.
        seed: of the training.
    """

    name: str
    scheme: ConnectionScheme
    cfg: Config
    work_dir: Path
    seed: int

    @property
    def is_finished(self) -> bool:
        """Whether it has been trained and tested."""
        return (self.work_dir / METRICS_FILE).exists()

    @property
    def seconds(self) -> float | None:
        """How long it took; None if that is not known, as of one that was interrupted."""
        path = self.work_dir / TIMING_FILE
        return json.loads(path.read_text())['seconds'] if self.is_finished and path.exists() else None

    def read(self, metric: str) -> float | None:
        """Its test metric; None if it has not finished.

        Raises:
            ValueError: if its evaluator does not report that, or reports what is no number.
        """
        if not self.is_finished:
            return None
        metrics = json.loads((self.work_dir / METRICS_FILE).read_text())
        if metric not in metrics:
            raise ValueError(
                f'`test_evaluator` must report {metric!r}, as the search does, but got {list(metrics)!r} in '
                f'{str(self.work_dir)!r}; correct it in retrain.py and remove that folder.'
            )
        if not math.isfinite(metrics[metric]):
            raise ValueError(
                f'`{metric}` must be a finite number, but got {metrics[metric]!r} in {str(self.work_dir)!r}; '
                'remove that folder to train again.'
            )
        return metrics[metric]

    def require(self, metric: str) -> float:
        """Its test metric.

        Raises:
            ValueError: if it has not finished.
        """
        value = self.read(metric)
        if value is None:
            raise ValueError(f'`work_dir` must hold a finished training, but got {str(self.work_dir)!r}.')
        return value


def with_scheme(retrain: Config, scheme: ConnectionScheme | str) -> Config:
    """The config that trains a ticket, with another scheme in the ticket's place."""
    cfg = copy.deepcopy(retrain)
    backbone = find_backbone_config(cfg.model)
    backbone.pop('ticket', None)
    backbone['scheme'] = str(scheme)
    return cfg


def describe_recipe(training: Training) -> dict[str, str]:
    """Every entry of a training's config that changes a number, as text; a ticket counts by its scheme, not its place."""
    fields = without(with_scheme(training.cfg, training.scheme), *OF_ONE_RUN, *_OF_LOGS).to_dict()
    fields['randomness'] = {**(fields.get('randomness') or {}), 'seed': training.seed}
    for name, entry in fields.items():
        if name.endswith('_dataloader') and isinstance(entry, dict):
            fields[name] = without_speed(entry)
    return {name: json.dumps(value, sort_keys=True, default=str) for name, value in fields.items()}


def require_same_recipe(training: Training) -> None:
    """Refuse a folder that holds another training; one without a recipe, made by an earlier version, is taken as it is.

    Raises:
        ValueError: naming the first entry of the recipe that differs, with both values.
    """
    path = training.work_dir / RECIPE_FILE
    if not path.exists():
        if training.is_finished:
            log_line(f'{training.work_dir} says nothing of the recipe that made it; it is taken as it is.')
        return
    found, wanted = json.loads(path.read_text()), describe_recipe(training)
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            old, new = shorten_difference(found.get(name, ''), wanted.get(name, ''))
            raise ValueError(
                f'`work_dir` must hold trainings by one recipe, but got {str(training.work_dir)!r}, whose {name} was '
                f'{old} and is now {new}; move that folder aside, or restore the recipe.'
            )


def run_trainings(trainings: Sequence[Training], estimate: Callable[[], float], announce: Announce) -> None:
    """Train what has not finished, in order; what was interrupted goes on from its last checkpoint.

    Args:
        trainings: all that belong together, finished ones among them, checked by :func:`require_same_recipe`.
        estimate: seconds of one training, asked for only while none has been timed.
        announce: called with lines for people: what is to be done, how long it will take.

    Raises:
        ValueError: if another process is at one of them.
    """
    waiting = [training for training in trainings if not training.is_finished]
    if not waiting:
        return
    seconds, source = _expect(trainings, estimate)
    num_done = len(trainings) - len(waiting)
    announce(
        f'{len(waiting)} of {len(trainings)} trainings to run, about {spell_seconds(len(waiting) * seconds)} ({source})'
    )
    for index, training in enumerate(waiting):
        left = spell_seconds((len(waiting) - index) * _expect(trainings, lambda: seconds)[0])
        place = f'{num_done + index + 1} of {len(trainings)}'
        announce(f'Training {place}: {training.name}, seed {training.seed}, about {left} left')
        _run(training)


def spell_seconds(seconds: float) -> str:
    """A duration in the unit that people would use.

    >>> spell_seconds(4.2), spell_seconds(720), spell_seconds(20000)
    ('4 s', '12 min', '5.6 h')
    """
    if seconds < 90:
        return f'{max(1, round(seconds))} s'
    return f'{round(seconds / 60)} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'


def _expect(trainings: Sequence[Training], estimate: Callable[[], float]) -> tuple[float, str]:
    """Seconds of one training, and how they are known."""
    timed = [training.seconds for training in trainings]
    known = [seconds for seconds in timed if seconds is not None]
    return (mean(known), 'by those that have finished') if known else (estimate(), 'measured on a few batches')


def _run(training: Training) -> None:
    work_dir = training.work_dir
    work_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work_dir / LOCK_FILE, timeout=0):
            _train(training)
    except Timeout as err:
        raise ValueError(
            f'`work_dir` must be trained in by one process, but got {str(work_dir)!r}, where another is at it; '
            'wait for it, or name other schemes or seeds.'
        ) from err


def _train(training: Training) -> None:
    work_dir = training.work_dir
    if training.is_finished:  # by another process, a moment ago
        return
    is_new = not (work_dir / 'last_checkpoint').exists()
    if not (work_dir / RECIPE_FILE).exists():
        write_atomically(work_dir / RECIPE_FILE, json.dumps(describe_recipe(training), indent=1).encode())
    start = time.monotonic()
    train_once(training.cfg, work_dir, training.seed)
    if is_new:  # the rest of an interrupted one says nothing about the whole
        write_atomically(work_dir / TIMING_FILE, json.dumps({'seconds': time.monotonic() - start}).encode())

"""How a search scores: in which precision, sharing what, dropping whom, remembering where."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..evaluation import (
    PRECISIONS,
    CalibrationImages,
    GraphError,
    NumericMode,
    Racing,
    RememberedScores,
    ScoreStore,
    SharedScorer,
    SupernetScorer,
    count_images,
    read_bytes,
)
from ..search import RaceSettings, Reward
from ..structures.checks import require_bytes, require_one_of
from .broadcast import broadcast_bytes
from .identity import search_identity
from .wrapped_backbone import find_backbone, unwrap

WANTED_SLICES = 20
LEAST_SLICE = 25  # images; of fewer an estimate says little


class Scoring:
    """The arguments of ``SearchHook`` that make scoring fast.

    Args:
        activation_budget: bytes, or '2GiB'.
        image_budget: bytes, or '1GiB'.
        precision: a name that ``NumericMode`` knows.
        racing: settings of ``RaceSettings``, or None.
        strategy: config of the strategy that is served.

    Raises: ValueError if one is wrong.
    """

    def __init__(
        self, activation_budget: int | str, image_budget: int | str, precision: str, racing: dict | None, strategy: dict
    ):
        self.activation_budget = require_bytes('activation_budget', activation_budget)
        self.image_budget = require_bytes('image_budget', image_budget)
        self.precision = require_one_of('precision', precision, PRECISIONS)
        self.racing = None if racing is None else RaceSettings.from_dict(racing)
        if racing is not None and strategy.get('preset') == 'paper':
            raise ValueError(
                f'`racing` must be None with the paper preset, which scores every proposal in full, but got {racing!r}; '
                "leave it out, or take preset='corrected'."
            )

    def identity(self, device: torch.device) -> dict[str, object]:
        """What changes a number in the log, by name; nothing where all is at its default."""
        mode = NumericMode.named(self.precision, device)
        fields: dict[str, object] = {} if self.racing is None else {'racing': asdict(self.racing)}
        return fields if mode.is_exact else {**fields, 'precision': str(mode)}

    def build(self, runner: Runner, reward: Reward, calibration: CalibrationImages | None) -> SupernetScorer:
        """The scorer that scores schemes by themselves, in the model's own precision."""
        model = runner.model
        loader = runner.val_dataloader if self.racing is None else self._deal(runner)
        racing = None if self.racing is None else Racing(self.racing, reward, count_images(loader))
        return SupernetScorer(
            unwrap(model),
            find_backbone(model),
            loader,
            runner.val_evaluator,
            reward.metric,
            calibration or (),
            racing,
        )

    def speed_up(self, plain: SupernetScorer) -> SupernetScorer:
        """The scorer that a search uses, its model a copy in the wanted precision.

        Shared passes are compared with ordinary ones first; where they cannot be, the log says why.
        """
        mode = NumericMode.named(self.precision, plain.device)
        if not mode.is_exact:
            print_log(f'Schemes are scored in {mode}', logger='current')
            model = mode.convert(plain.model)
            plain = SupernetScorer(
                model,
                find_backbone(model),
                plain.dataloader,
                plain.evaluator,
                plain.metric,
                plain.calibration,
                plain.racing,
                mode,
            )
        if not self.activation_budget:
            return plain
        try:
            shared = SharedScorer(plain, self.activation_budget, self.image_budget)
            shared.check()
        except GraphError as err:
            print_log(f'Every scheme is scored by itself: {err}', logger='current', level=logging.WARNING)
            return plain
        return shared

    def context(self, cfg: Config, plain: SupernetScorer) -> dict[str, str]:
        """What a score depends on beside the weights and the settings of the search."""
        device = plain.device
        mode = NumericMode.named(self.precision, device)
        fields = {**search_identity(cfg, {}), 'numeric mode': f'{mode} on {device.type}, torch {torch.__version__}'}
        if self.racing is not None:
            fields['order'] = f'at random, {plain.dataloader.batch_size} at once'  # other batches may round otherwise
        return fields

    def _deal(self, runner: Runner) -> DataLoader:
        """The reward images in random order, the same every time, in batches that make enough slices."""
        loader = runner.val_dataloader
        num_images = len(loader.dataset)
        given = loader.batch_size or 1
        wanted = max(LEAST_SLICE, num_images // (WANTED_SLICES * get_world_size()))
        return DataLoader(
            loader.dataset,
            min(given, wanted),
            sampler=DefaultSampler(loader.dataset, shuffle=True, seed=0),
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            worker_init_fn=loader.worker_init_fn,
            persistent_workers=loader.persistent_workers,
        )


def remember_scores(
    scoring: Scoring,
    plain: SupernetScorer,
    cfg: Config,
    supernet_sha256: str,
    calibration: tuple[int, int, int],
    path: Path,
    is_writer: bool,
) -> RememberedScores:
    """Score as fast as the settings allow, and look up what anybody has scored before.

    Args:
        scoring: the settings.
        plain: scores schemes by themselves.
        cfg: of the search.
        supernet_sha256: digest of the weights.
        calibration: how many images, how many at once, and the seed of their choice.
        path: of the score store.
        is_writer: False on every rank but one.
    """
    num_images, batch_size, seed = calibration
    context = {
        'supernet weights': supernet_sha256,
        'metric': plain.metric,
        'calibration': f'{num_images} images, {batch_size} at once, seed {seed}',
        **scoring.context(cfg, plain),
    }
    scorer = scoring.speed_up(plain)
    return RememberedScores(scorer, load_scores(path, context, is_writer))


def load_scores(path: Path, context: dict[str, str], is_writer: bool) -> ScoreStore:
    """Open a score store with what rank 0 finds in the file, the same on every rank."""
    store = ScoreStore(path, context, is_writer=is_writer)
    store.load(broadcast_bytes(read_bytes(path) if is_writer else b''))
    return store

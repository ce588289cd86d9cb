"""Scores of chosen schemes on a trained supernet, as its search makes them, and with its statistics as they are."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from ..evaluation import (
    CalibrationImages,
    Supernet,
    find_pipeline,
    load_supernet,
    restore_supernet,
    with_pipeline,
)
from ..hooks import SearchHook
from ..hooks.identity import require_same_training, training_identity
from ..hooks.retrain_config import is_search_hook
from ..hooks.scoring import remember_scores
from ..hooks.search_hook import SCORES_FILE
from ..hooks.supernet_hook import SUPERNET_FILE
from ..hooks.wrapped_backbone import find_backbone, unwrap
from ..structures import ConnectionScheme
from .arguments import find_search_hook
from .training import make_runner

NUM_CALIBRATION_IMAGES = 1000  # where the search takes none


@dataclass(frozen=True)
class SupernetScores:
    """Scores of the same schemes.

    Attributes:
        recalibrated: with batch-norm statistics of each scheme's own.
        raw: with the statistics that the supernet gathered under all schemes.
        num_images: reward images that each score is of.
    """

    recalibrated: list[float]
    raw: list[float]
    num_images: int


def score_on_supernet(cfg: Config, schemes: Sequence[ConnectionScheme], work_dir: Path) -> SupernetScores:
    """Score schemes on the supernet of a finished search; what the search has scored is looked up in its score store.

    Args:
        cfg: config of the search.
        schemes: what is scored.
        work_dir: for the logs.

    Raises:
        SupernetError: if the supernet is missing, damaged or another config's.
    """
    entry = dict(find_search_hook(cfg))
    entry.pop('type')
    hook = SearchHook(**entry)
    path = Path(hook.supernet or Path(cfg.work_dir) / SUPERNET_FILE)
    supernet = load_supernet(path, hook.trust_checkpoint)
    if not hook.supernet:
        require_same_training(supernet.identity, training_identity(cfg), path)
    runner = _build_runner(cfg, work_dir)
    model: Any = unwrap(runner.model)
    find_backbone(model).set_scheme('all')
    restore_supernet(model, supernet)
    num_images = hook.num_calibration_images or NUM_CALIBRATION_IMAGES
    store = Path(hook.score_store or Path(cfg.work_dir) / SCORES_FILE)
    recalibrated, raw = (_score(runner, cfg, hook, supernet, num, schemes, store) for num in (num_images, 0))
    return SupernetScores(recalibrated, raw, len(runner.val_dataloader.dataset))


def _build_runner(cfg: Config, work_dir: Path) -> Runner:
    cfg = copy.deepcopy(cfg)
    cfg.resume, cfg.load_from = False, None
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or [] if not is_search_hook(hook)]
    return make_runner(cfg, work_dir, seed=0)


def _score(
    runner: Runner,
    cfg: Config,
    hook: SearchHook,
    supernet: Supernet,
    num_calibration_images: int,
    schemes: Sequence[ConnectionScheme],
    store: Path,
) -> list[float]:
    if runner.val_loop is None:  # which also builds the loader
        raise ValueError('`val_dataloader` must hold the reward images of the search, but got None.')
    calibration = None
    if num_calibration_images:
        dataset = with_pipeline(cfg.train_dataloader['dataset'], find_pipeline(cfg.val_dataloader['dataset']))
        calibration = CalibrationImages(
            dataset, num_calibration_images, hook.calibration_batch_size, hook.seed, runner.val_dataloader.collate_fn
        )
    plain = hook.scoring.build(runner, hook.reward, calibration)
    plain.model.eval()
    taken = num_calibration_images, hook.calibration_batch_size, hook.seed
    scores = remember_scores(hook.scoring, plain, cfg, supernet.sha256, taken, store, is_writer=True)
    return [measured.metric for measured in scores.score_many(schemes)]

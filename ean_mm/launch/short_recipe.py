"""The same training, shorter: its schedule is compressed, not cut off."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config

_IN_STEPS = ('begin', 'end', 'T_max', 'total_iters', 'step_size', 'milestones', 'periods')


def shorten_recipe(cfg: Config, length: int, unit: str = 'epochs') -> Config:
    """A copy of a training's config that ends after ``length`` epochs or iterations, tested at the end only.

    Every time in the schedules of its parameters is scaled alike, so that the learning rate goes through all of its phases; a
    phase that lasts less than half a step is left out.

    Args:
        cfg: of a training.
        length: how long the short one is.
        unit: 'epochs' or 'iters', whichever the training counts.

    Raises:
        ValueError: if the training counts another unit, or is not longer.
    """
    name = f'max_{unit}'
    full = cfg.train_cfg.get(name)
    if full is None:
        other = 'iters' if unit == 'epochs' else 'epochs'
        raise ValueError(f'`{unit}` must be what the training counts, but got {length!r}; give --{other}.')
    if not isinstance(length, int) or not 1 <= length <= full:
        raise ValueError(f'`{unit}` must be between 1 and the {full} of the recipe, but got {length!r}.')
    cfg = copy.deepcopy(cfg)
    cfg.train_cfg[name] = length
    for part in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        cfg[part] = None
    scheduler = cfg.get('param_scheduler')
    if scheduler:
        scaled = [_scale(each, length / full) for each in (scheduler if isinstance(scheduler, list) else [scheduler])]
        cfg.param_scheduler = [each for each in scaled if each.get('begin', 0) < each.get('end', float('inf'))]
    return cfg


def _scale(scheduler: dict, share: float) -> dict:
    return {key: _scale_time(value, share) if key in _IN_STEPS else value for key, value in scheduler.items()}


def _scale_time(value: Any, share: float) -> Any:
    if isinstance(value, list | tuple):
        return [_scale_time(each, share) for each in value]
    return max(1, round(value * share)) if value else value

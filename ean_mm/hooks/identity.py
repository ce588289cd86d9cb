"""What a run is, field by field: two runs may share files only if all fields agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..evaluation import SupernetError
from ..structures.shorten import shorten_difference

_TRAINING_FIELDS = ('model', 'optim_wrapper', 'param_scheduler', 'randomness')
_SPEED_ONLY = ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor')


def training_identity(cfg: Config) -> dict[str, str]:
    """What makes the weights of a supernet: model, data, optimiser, schedule, sampling of schemes."""
    fields = {name: _as_text(cfg.get(name)) for name in _TRAINING_FIELDS}
    fields['train_dataloader'] = _as_text(without_speed(cfg.get('train_dataloader')))
    fields['train_length'] = _as_text(_train_length(cfg))
    fields['supernet'] = _as_text(_find_hook(cfg, 'SupernetHook'))
    return fields


def search_identity(cfg: Config, settings: dict[str, Any]) -> dict[str, str]:
    """What makes the log of a search: model, data, and every setting of the search that changes a number."""
    return {
        'model': _as_text(cfg.get('model')),
        'reward data': _as_text(without_speed(cfg.get('val_dataloader'))),
        'training data': _as_text(without_speed(cfg.get('train_dataloader'))),
        'evaluator': _as_text(cfg.get('val_evaluator')),
        **{name: _as_text(value) for name, value in settings.items()},
    }


def require_same_training(found: dict[str, str], wanted: dict[str, str], path: Path) -> None:
    """Refuse the supernet of another training.

    Raises:
        SupernetError: naming the first field that differs, with both values.
    """
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            old, new = shorten_difference(found.get(name, ''), wanted.get(name, ''))
            raise SupernetError(
                f'`work_dir` must hold the supernet of this config, but got {str(path)!r}, whose {name} was '
                f'{old} and is now {new}; choose another work_dir, '
                'or pass --restart to move the old files aside.'
            )


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def without_speed(dataloader: dict | None) -> dict:
    """The entries of a data loader that change a number."""
    return {key: value for key, value in (dataloader or {}).items() if key not in _SPEED_ONLY}


def _train_length(cfg: Config) -> dict:
    train_cfg = cfg.get('train_cfg') or {}
    return {key: value for key, value in train_cfg.items() if not key.startswith('val_')}


def _find_hook(cfg: Config, name: str) -> list[dict]:
    hooks = cfg.get('custom_hooks') or []
    return [hook for hook in hooks if str(hook.get('type', '')).rpartition('.')[2] == name]

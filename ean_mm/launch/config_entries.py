"""Entries of a config, by what reads them."""

from __future__ import annotations

import copy

from mmengine.config import Config

# Validation and the weights to start from are a part of training; entries of the last line are read by other entries alone.
OF_TRAINING = (
    *('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'load_from'),
    *('val_dataloader', 'val_cfg', 'val_evaluator', 'custom_hooks', 'default_hooks', 'find_unused_parameters'),
    *('train_pipeline', 'max_epochs'),
)
OF_TESTING = ('test_dataloader', 'test_cfg', 'test_evaluator')
OF_ONE_RUN = ('work_dir', 'resume', 'launcher')  # they change no number


def without(cfg: Config, *names: str) -> Config:
    """A copy of a config that lacks the named entries.

    >>> without(Config(dict(model=dict(type='A'), resume=True)), 'resume', 'launcher').to_dict()
    {'model': {'type': 'A'}}
    """
    cfg = copy.deepcopy(cfg)
    for name in names:
        cfg.pop(name, None)
    return cfg

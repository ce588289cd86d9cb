"""The config that trains the ticket from scratch, ready to run."""

from __future__ import annotations

import pprint
from pathlib import Path

from mmengine.config import Config

from ..structures import write_atomically
from .wrapped_backbone import find_backbone_config, type_name

RETRAIN_FILE = 'retrain.py'
_SEARCH_HOOKS = ('SupernetHook', 'SearchHook')


def write_retrain_config(cfg: Config, recipe: str | None, directory: Path) -> Path:
    """Write ``retrain.py`` beside ``ticket.json``: the searched model with the ticket, trained by a recipe.

    The file is complete: it inherits from nothing and finds the ticket by its own place, so the folder can be moved.

    Args:
        cfg: config of the search; its model is retrained, and its test set becomes the validation set.
        recipe: config whose data, optimiser and schedule are used; None uses those of ``cfg``.
        directory: where the ticket is.
    """
    if recipe is None:
        fields = cfg.to_dict()
        fields['val_dataloader'] = fields.get('test_dataloader')
        fields['val_evaluator'] = fields.get('test_evaluator')
        fields['val_cfg'] = fields.get('val_cfg') if fields['val_dataloader'] else None  # it may name a kind of loop
        hooks = fields.get('custom_hooks') or []
        fields['custom_hooks'] = [hook for hook in hooks if not is_search_hook(hook)]
    else:
        fields = Config.fromfile(recipe).to_dict()
    fields['custom_hooks'] = [*(fields.get('custom_hooks') or []), dict(type='ean_mm.PlainCheckpointHook')]
    model = cfg.to_dict()['model']
    backbone = find_backbone_config(model)
    backbone.pop('scheme', None)
    backbone['ticket'] = '@TICKET@'
    fields['model'] = model
    for name in ('work_dir', 'resume', 'load_from', 'launcher', 'filename'):
        fields.pop(name, None)
    path = directory / RETRAIN_FILE
    docstring = 'Train the ticket beside this file from scratch. Written at the end of a search.'
    text = format_config(fields, docstring).replace("'@TICKET@'", "'{{ fileDirname }}/ticket.json'")
    write_atomically(path, text.encode())
    return path


def format_config(fields: dict, docstring: str) -> str:
    """A config as a file of Python that inherits from nothing."""
    entries = [f'{name} = {pprint.pformat(value, width=100, sort_dicts=False)}' for name, value in fields.items()]
    return '\n'.join([f'"""{docstring}"""\n', *entries]) + '\n'


def is_search_hook(hook: dict) -> bool:
    """Whether a config of a hook is one of supernet and search."""
    return type_name(hook) in _SEARCH_HOOKS

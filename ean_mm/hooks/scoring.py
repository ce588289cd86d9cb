"""What makes scoring fast in a search: shared passes, and scores that earlier searches have left."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from ..evaluation import GraphError, ScoreStore, SharedScorer, SupernetScorer, read_bytes
from .broadcast import broadcast_bytes
from .identity import search_identity


def share_scoring(plain: SupernetScorer, activation_budget: int) -> SupernetScorer:
    """Return a scorer with shared passes, checked against ordinary ones, or ``plain`` and a line in the log that says why."""
    if not activation_budget:
        return plain
    try:
        shared = SharedScorer(plain, activation_budget)
        shared.check()
    except GraphError as err:
        print_log(f'Every scheme is scored by itself: {err}', logger='current', level=logging.WARNING)
        return plain
    return shared


def scoring_context(cfg: Config, model: nn.Module) -> dict[str, str]:
    """What a score depends on beside the weights and the settings of the search."""
    identity = search_identity(cfg, {})
    device = next(model.parameters()).device.type
    return {**identity, 'numeric mode': f'float32 on {device}, torch {torch.__version__}'}


def load_scores(path: Path, context: dict[str, str], is_writer: bool) -> ScoreStore:
    """Open a score store with what rank 0 finds in the file, the same on every rank."""
    store = ScoreStore(path, context, is_writer=is_writer)
    store.load(broadcast_bytes(read_bytes(path) if is_writer else b''))
    return store

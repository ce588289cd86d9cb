"""Fold gates that hardly vary: how many, at what loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

from ..evaluation import find_norms, recalibrate
from ..hooks.wrapped_backbone import find_backbone
from ..reparam import SiteGates, compute_gates, find_fold_points, fold_gates, recorded_means


@dataclass(frozen=True)
class Trial:
    """A network some of whose sites have their mean gate in the weights.

    Attributes:
        model: with recalibrated batch norm.
        sites: which, by number.
        metric: of the model on the images that choose.
    """

    model: nn.Module
    sites: tuple[int, ...]
    metric: float


def record_gates(model: Any, batches: Iterable[Any]) -> list[SiteGates]:
    """The gates of every connected site that could be folded, over collated batches of images."""
    backbone = find_backbone(model)
    with recorded_means(backbone) as recorder, torch.no_grad():
        for batch in batches:
            _forward(model, batch)
    return [each for each in compute_gates(backbone, recorder) if find_fold_points(backbone, each.site)]


def choose_stripes(
    model: Any,
    gates: Sequence[SiteGates],
    calibration: Iterable[Any],
    evaluate: Callable[[nn.Module], float],
    max_drop: float,
) -> Trial:
    """Fold the largest set of sites that costs no more than ``max_drop``; the steadiest sites come first.

    Sets are nested by deviation, and tried from the largest, so the first that respects the limit is the one. The empty set,
    which costs nothing, ends the list.

    Args:
        model: the trained one, which is left as it is.
        gates: of the sites that may be folded.
        calibration: collated batches of training images under test transforms, for batch norm.
        evaluate: a metric, higher is better.
        max_drop: how much of the metric may be lost, in its own unit.
    """
    order = sorted(gates, key=lambda each: each.deviation)
    before = evaluate(model)
    print_log(f'Nothing folded: {before:.4g}', logger='current')
    for count in range(len(order), 0, -1):
        trial = fold_stripes(model, order[:count], calibration)
        metric = evaluate(trial)
        print_log(
            f'{count} steadiest of {len(order)} sites folded: {metric:.4g} ({metric - before:+.4g})', logger='current'
        )
        if before - metric <= max_drop:
            return Trial(trial, tuple(sorted(each.site for each in order[:count])), metric)
    return Trial(model, (), before)


def fold_stripes(model: Any, gates: Sequence[SiteGates], calibration: Iterable[Any]) -> nn.Module:
    """Return a copy with the mean gates of given sites in its weights, and batch-norm statistics that belong to it."""
    folded = copy.deepcopy(model)
    backbone = find_backbone(folded)
    changed = fold_gates(backbone, {each.site: each.mean.to(next(model.parameters()).device) for each in gates})
    replace_module(folded, backbone, changed)
    norms = find_norms(folded)
    if gates and norms:
        recalibrate(norms, calibration, partial(_forward, folded))
    return folded


def _forward(model: Any, batch: Any) -> object:
    return model(**model.data_preprocessor(batch, False), mode='tensor')


def replace_module(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put ``new`` where ``old`` stands in a model."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
                return
    raise ValueError(f'`old` must be a part of the model, but got a {type(old).__name__} of elsewhere.')

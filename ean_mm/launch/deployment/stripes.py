"""Fold gates that hardly vary: how many, at what loss."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

from ...evaluation import find_norms, recalibrate
from ...hooks.wrapped_backbone import find_backbone
from ...reparam import SiteGates, compute_gates, find_fold_points, fold_gates, recorded_means
from .data import DeploymentData
from .networks import with_backbone


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


@dataclass(frozen=True)
class FoldedStripes:
    """What became of gates that vary.

    Attributes:
        model: the network with some of them folded.
        gates: of every site that was looked at.
        sites: those that were folded.
        metrics: on the test images, before and after.
    """

    model: Any
    gates: Sequence[SiteGates]
    sites: tuple[int, ...]
    metrics: dict[str, dict[str, float]]


def fold_nearly_constant(model: Any, data: DeploymentData) -> FoldedStripes:
    """Record the gates of a model, and fold those that the options choose: by what may be lost, or by a threshold."""
    calibration = data.calibration()
    gates = record_gates(model, calibration)
    options = data.options
    if options.max_drop is not None:
        _warn_of_same_images(data)
        trial = choose_stripes(model, gates, calibration, data.score, options.max_drop)
        changed, sites = trial.model, trial.sites
    else:
        chosen = [each for each in gates if each.deviation < (options.threshold or 0.0)]
        changed, sites = fold_stripes(model, chosen, calibration), tuple(each.site for each in chosen)
    metrics = dict(before=data.evaluate(model, 'test'), after=data.evaluate(changed, 'test'))
    return FoldedStripes(changed, gates, sites, metrics)


def _warn_of_same_images(data: DeploymentData) -> None:
    if data.cfg.val_dataloader.dataset == data.cfg.test_dataloader.dataset:
        print_log(
            'The validation images are the test images: the metric after folding is that of images it was chosen on.',
            logger='current',
            level=logging.WARNING,
        )


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
    device = next(model.parameters()).device
    means = {each.site: each.mean.to(device) for each in gates}
    folded = with_backbone(model, fold_gates(find_backbone(model), means))
    norms = find_norms(folded)
    if gates and norms:
        recalibrate(norms, calibration, partial(_forward, folded))
    return folded


def _forward(model: Any, batch: Any) -> object:
    return model(**model.data_preprocessor(batch, False), mode='tensor')

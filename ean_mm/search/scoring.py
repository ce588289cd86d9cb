"""One scoring of one scheme, and what becomes of a failure."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import torch
from mmengine.logging import print_log

from ..structures import ConnectionScheme
from .results import Evaluation
from .reward import Reward

Score = Callable[[ConnectionScheme], float]


def evaluate(score: Score, reward: Reward, scheme: ConnectionScheme, role: str, step: int | None) -> Evaluation:
    """Score a scheme; a metric or reward that is not finite makes a failed evaluation.

    Running out of memory is tried once more with an emptied cache, then it is a failure as well;
    every other exception of ``score`` passes.

    Raises:
        TypeError: if ``score`` returns no number.
    """
    metric = _score_once_more(score, scheme)
    if metric is None:
        return Evaluation(scheme, role, step, None, None, 'out of memory')
    if not math.isfinite(metric):
        return Evaluation(scheme, role, step, None, None, f'the metric is {metric}')
    value = float(reward(metric, scheme.mask))
    if not math.isfinite(value):
        return Evaluation(scheme, role, step, None, None, f'the reward is {value}')
    return Evaluation(scheme, role, step, metric, value)


def _score_once_more(score: Score, scheme: ConnectionScheme) -> float | None:
    for plan in ('emptying the cache and trying once more', 'giving it up'):
        try:
            return _to_float(score(scheme))
        except torch.cuda.OutOfMemoryError as err:
            warn(f"Scheme '{scheme}' ran out of memory ({err}); {plan}.")
        # Outside the handler: until it ends, the traceback keeps the tensors of the failed try.
        torch.cuda.empty_cache()
    return None


def _to_float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as err:
        raise TypeError(f'`score` must return a number, but got {value!r}.') from err


def warn(text: str) -> None:
    """Log a warning."""
    print_log(text, logger='current', level=logging.WARNING)

"""The scoring of what a step proposes, and what becomes of a failure."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from mmengine.logging import print_log

from ..structures import ConnectionScheme
from .results import Evaluation
from .reward import Reward


@dataclass(frozen=True)
class Measurement:
    """What scoring a scheme gives.

    Attributes:
        metric: in its units; higher is better.
        num_images: how many images it was estimated on when the scheme was dropped as lost; None if it was scored on all.
    """

    metric: float
    num_images: int | None = None


Score = Callable[[ConnectionScheme], float]
ScoreMany = Callable[[Sequence[ConnectionScheme], ConnectionScheme | None], Sequence[Measurement]]


def one_by_one(score: Score) -> ScoreMany:
    """Make scoring of many schemes out of a function that scores one, in full.

    >>> one_by_one(lambda scheme: 70.0 + scheme.num_connected)([ConnectionScheme.from_string('1 01')], None)
    [Measurement(metric=72.0, num_images=None)]
    """
    return lambda schemes, incumbent: [Measurement(_to_float(score(scheme))) for scheme in schemes]


def evaluate(
    score_many: ScoreMany,
    reward: Reward,
    schemes: Sequence[ConnectionScheme],
    incumbent: ConnectionScheme | None,
    role: str,
    step: int | None,
) -> list[Evaluation]:
    """Score schemes together; a metric or reward that is not finite makes a failed evaluation.

    Where memory runs out, each is scored by itself, and tried once more with an emptied cache; then it is a failure as
    well. Every other exception of ``score_many`` passes.
    """
    measured = _measure(score_many, schemes, incumbent)
    return [_judge(*pair, reward, role, step) for pair in zip(schemes, measured, strict=True)]


def _judge(
    scheme: ConnectionScheme, measured: Measurement | None, reward: Reward, role: str, step: int | None
) -> Evaluation:
    if measured is None:
        return Evaluation(scheme, role, step, None, None, 'out of memory')
    metric = measured.metric
    if not math.isfinite(metric):
        return Evaluation(scheme, role, step, None, None, f'the metric is {metric}')
    value = float(reward(metric, scheme.mask))
    if not math.isfinite(value):
        return Evaluation(scheme, role, step, None, None, f'the reward is {value}')
    return Evaluation(scheme, role, step, metric, value, num_images=measured.num_images)


def _measure(
    score_many: ScoreMany, schemes: Sequence[ConnectionScheme], incumbent: ConnectionScheme | None
) -> Sequence[Measurement | None]:
    if len(schemes) > 1:
        try:
            return score_many(schemes, incumbent)
        except torch.cuda.OutOfMemoryError as err:
            warn(
                f'{len(schemes)} schemes together ran out of memory ({err}); emptying the cache and scoring each alone.'
            )
        # Outside the handler: until it ends, the traceback keeps the tensors of the failed try.
        torch.cuda.empty_cache()
    return [_measure_once_more(score_many, scheme, incumbent) for scheme in schemes]


def _measure_once_more(
    score_many: ScoreMany, scheme: ConnectionScheme, incumbent: ConnectionScheme | None
) -> Measurement | None:
    for plan in ('emptying the cache and trying once more', 'giving it up'):
        try:
            return score_many([scheme], incumbent)[0]
        except torch.cuda.OutOfMemoryError as err:
            warn(f"Scheme '{scheme}' ran out of memory ({err}); {plan}.")
        torch.cuda.empty_cache()  # outside the handler, as above
    return None


def _to_float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as err:
        raise TypeError(f'`score` must return a number, but got {value!r}.') from err


def warn(text: str) -> None:
    """Log a warning."""
    print_log(text, logger='current', level=logging.WARNING)

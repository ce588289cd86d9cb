"""The number a search maximises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..structures.checks import require_number


@dataclass(frozen=True)
class Reward:
    """A metric plus a bonus for sparsity.

    ``R = metric + sparsity_weight * (1 - density) + offset``
    Source: arXiv:2011.14058 and its published code, which use sparsity_weight 2 and offset -54 on
    top-1 accuracy.

    Args:
        metric: key of the evaluator's result; higher is better. Accuracies are in percent, 0 to
            100.
        sparsity_weight: reward of connecting nothing over connecting everything, in units of the
            metric.
        offset: added to every reward, in units of the metric; it changes no ranking.

    Returns: of a call, the reward as a float; nan or inf if the metric is.
    Raises: ValueError if ``metric`` is no name or a coefficient is not finite.

    >>> Reward(sparsity_weight=2.0, offset=-54.0)(55.0, np.arange(16) >= 7)
    1.875
    """

    metric: str = 'accuracy/top1'
    sparsity_weight: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric:
            raise ValueError(
                f"`metric` must name a result of the evaluator, but got {self.metric!r}; try 'accuracy/top1'."
            )
        require_number('sparsity_weight', self.sparsity_weight, rule='a finite number')
        require_number('offset', self.offset, rule='a finite number')

    def __call__(self, metric_value: float, scheme_mask: np.ndarray) -> float:
        density = np.asarray(scheme_mask, dtype=bool).mean()
        return float(metric_value + self.sparsity_weight * (1 - density) + self.offset)

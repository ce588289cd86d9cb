"""The number a search maximises."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..structures.checks import require_number
from .added_costs import AddedCosts

_COSTS = ('params', 'macs', 'latency')


@dataclass(frozen=True)
class Reward:
    """A metric plus bonuses for what a scheme saves: connections, parameters, MACs, latency.

    ``R = metric + sparsity_weight * (1 - density) + sum_c c_weight * (1 - share_c) + offset``, c in params, macs, latency;
    share_c is the scheme's part of what all connections add to that cost, see :meth:`AddedCosts.share`.
    Source: arXiv:2011.14058 and its published code, which use sparsity_weight 2 and offset -54 on
    top-1 accuracy. Differs: the terms of cost, which it has not.

    Args:
        metric: key of the evaluator's result; higher is better. Accuracies are in percent, 0 to
            100.
        sparsity_weight: reward of connecting nothing over connecting everything, in units of the
            metric.
        offset: added to every reward, in units of the metric; it changes no ranking.
        params_weight: reward of adding no parameters over adding all that attention can, in units of the metric.
        macs_weight: likewise for multiply-accumulates.
        latency_weight: likewise for the latency of one image.
        costs: what connections add; needed by a call as soon as a weight of a cost is not 0.

    Returns: of a call, the reward as a float; nan or inf if the metric is.
    Raises: ValueError if ``metric`` is no name, a coefficient is not finite, or a call lacks a cost that it needs.

    >>> Reward(sparsity_weight=2.0, offset=-54.0)(55.0, np.arange(16) >= 7)
    1.875
    """

    metric: str = 'accuracy/top1'
    sparsity_weight: float = 0.0
    offset: float = 0.0
    params_weight: float = 0.0
    macs_weight: float = 0.0
    latency_weight: float = 0.0
    costs: AddedCosts | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric:
            raise ValueError(
                f"`metric` must name a result of the evaluator, but got {self.metric!r}; try 'accuracy/top1'."
            )
        for name in ('sparsity_weight', 'offset', *(f'{cost}_weight' for cost in _COSTS)):
            require_number(name, getattr(self, name), rule='a finite number')
        if self.costs is not None and not isinstance(self.costs, AddedCosts):
            raise ValueError(f'`costs` must be AddedCosts, which no config gives, but got {self.costs!r}.')

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the costs without which no reward can be told; latency must be measured only if it is among them."""
        return tuple(cost for cost in _COSTS if self._weight(cost))

    def with_costs(self, costs: AddedCosts) -> Reward:
        """The same reward, able to tell what schemes cost."""
        return replace(self, costs=costs)

    def to_dict(self) -> dict[str, Any]:
        """The arguments that say which reward this is: the first three always, a weight of a cost where it is not 0."""
        fields: dict[str, Any] = dict(metric=self.metric, sparsity_weight=self.sparsity_weight, offset=self.offset)
        return fields | {f'{cost}_weight': self._weight(cost) for cost in self.needs}

    def __call__(self, metric_value: float, scheme_mask: np.ndarray) -> float:
        mask = np.asarray(scheme_mask, dtype=bool)
        value = metric_value + self.sparsity_weight * (1 - mask.mean())
        for cost in self.needs:
            value += self._weight(cost) * (1 - self._share(cost, mask))
        return float(value + self.offset)

    def _weight(self, cost: str) -> float:
        return getattr(self, f'{cost}_weight')

    def _share(self, cost: str, mask: np.ndarray) -> float:
        if self.costs is None or cost not in self.costs:
            raise ValueError(
                f'`{cost}_weight` must be 0 where nobody knows the {cost} of connections, but got {self._weight(cost)!r}; '
                'give the reward what they add, with `with_costs`.'
            )
        return self.costs.share(cost, mask[None])[0]

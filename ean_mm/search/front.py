"""What a search has found for every budget: the best scheme of each size, and the front of metric against cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from .added_costs import AddedCosts
from .results import Evaluation
from .space import SearchSpace


def pareto_front(values: Sequence[float], costs: Sequence[float]) -> np.ndarray:
    """Which points no other beats, (M,) bool: none is at least as good at a cost at most as high, and better in one of both.

    Args:
        values: of M points; higher is better.
        costs: of them; lower is better.

    >>> pareto_front([70.0, 72.0, 71.0, 72.0], [1.0, 3.0, 2.0, 4.0]).tolist()
    [True, True, True, False]
    """
    is_front = np.zeros(len(values), dtype=bool)
    best, last = -np.inf, np.nan  # of the front so far: its highest value, and what that costs
    for i in np.lexsort((-np.asarray(values, dtype=float), np.asarray(costs, dtype=float))):
        if values[i] > best or (values[i] == best and costs[i] == last):
            is_front[i] = True
            best, last = values[i], costs[i]
    return is_front


def best_per_size(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Of evaluations with a reward, the best of every number of connections that has one, fewest connections first."""
    best: dict[int, Evaluation] = {}
    for evaluation in evaluations:
        size = evaluation.scheme.num_connected
        if size not in best or evaluation.rank < best[size].rank:
            best[size] = evaluation
    return [best[size] for size in sorted(best)]


@dataclass(frozen=True)
class Candidates:
    """The schemes that a search offers: scored on all images, allowed, and no random control.

    Args:
        metric: name of the metric.
        space: says which schemes are allowed.
        costs: what connections add.
        scored: all evaluations of the search; those that are no candidates are left out.
    """

    metric: str
    space: SearchSpace
    costs: AddedCosts
    scored: Sequence[Evaluation]

    @cached_property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """One of each candidate, in the order of scoring."""
        full = (e for e in self.scored if e.reward is not None and not e.is_partial and e.role != 'random')
        found = {evaluation.scheme: evaluation for evaluation in full}
        return tuple(each for scheme, each in found.items() if self.space.allows(scheme))

    @property
    def front_cost(self) -> str:
        """The cost that the front is drawn against: latency where it was measured, else MACs."""
        return 'latency' if 'latency' in self.costs else 'macs'

    @cached_property
    def front(self) -> tuple[Evaluation, ...]:
        """Candidates that no other beats in both metric and cost, the cheapest first."""
        if not self.evaluations:
            return ()
        costs = self.cost(self.front_cost)
        is_front = pareto_front([cast(float, each.metric) for each in self.evaluations], costs.tolist())
        order = np.argsort(costs, kind='stable')
        return tuple(self.evaluations[i] for i in order if is_front[i])

    def cost(self, name: str) -> np.ndarray:
        """A cost of each candidate, (M,)."""
        masks = np.array([each.scheme.mask for each in self.evaluations], dtype=bool)
        return self.costs.of(name, masks.reshape(-1, self.space.num_connections))

    def describe(self, evaluation: Evaluation) -> dict[str, Any]:
        """A candidate as plain values: its scheme, scores and costs; None for a cost that nobody measured."""
        mask = evaluation.scheme.mask[None]
        known = {name: float(self.costs.of(name, mask)[0]) for name in self.costs.names}
        return dict(
            num_connected=evaluation.scheme.num_connected,
            scheme=str(evaluation.scheme),
            metric=evaluation.metric,
            reward=evaluation.reward,
            params=round(known['params']) if 'params' in known else None,
            macs=round(known['macs']) if 'macs' in known else None,
            latency_ms=known.get('latency'),
        )

"""Scores that outlive the run which computed them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..structures import ConnectionScheme
from .score_store import ScoreStore
from .scorer import SupernetScorer


class RememberedScores:
    """A score that is looked up first, and computed and remembered only where nobody has computed it before.

    Args:
        scorer: what computes the metric of a scheme.
        store: what is remembered, loaded already and with the same content on every rank.

    Attributes:
        num_found: schemes whose score was remembered.
    """

    def __init__(self, scorer: SupernetScorer, store: ScoreStore):
        self.scorer = scorer
        self.store = store
        self.num_found = 0

    def __call__(self, scheme: ConnectionScheme) -> float:
        """The metric of ``scheme``."""
        found = self.store.find(scheme)
        if found is not None:
            self.num_found += 1
            return found
        return self._remember(scheme, self.scorer(scheme))

    def score_many(self, schemes: Sequence[ConnectionScheme]) -> list[float]:
        """The metric of each scheme, those that are not remembered computed together."""
        found = {scheme: self.store.find(scheme) for scheme in schemes}
        missing = [scheme for scheme, metric in found.items() if metric is None]
        computed = dict(zip(missing, self.scorer.score_many(missing), strict=True)) if missing else {}
        self.num_found += len(found) - len(missing)
        metrics = {s: self._remember(s, computed[s]) if metric is None else metric for s, metric in found.items()}
        return [metrics[scheme] for scheme in schemes]

    def _remember(self, scheme: ConnectionScheme, metric: float) -> float:
        if math.isfinite(metric):
            self.store.add(scheme, metric)
        return metric

    def describe_work(self) -> dict[str, int]:
        """What has been looked up and computed so far, by name."""
        return {'remembered': self.num_found, **self.scorer.describe_work()}

"""Scores that outlive the run which computed them."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..structures import ConnectionScheme
from .score_store import ScoreStore


class RememberedScores:
    """A score that is looked up first, and computed and remembered only where nobody has computed it before.

    Args:
        score: the metric of a scheme.
        store: what is remembered, loaded already and with the same content on every rank.

    Attributes:
        num_found: schemes whose score was remembered.
    """

    def __init__(self, score: Callable[[ConnectionScheme], float], store: ScoreStore):
        self.score = score
        self.store = store
        self.num_found = 0

    def __call__(self, scheme: ConnectionScheme) -> float:
        found = self.store.find(scheme)
        if found is not None:
            self.num_found += 1
            return found
        metric = self.score(scheme)
        if math.isfinite(metric):
            self.store.add(scheme, metric)
        return metric

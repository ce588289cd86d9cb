"""Scores that outlive the run which computed them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..search import Measurement
from ..structures import ConnectionScheme, GroupScores
from ..structures.group_scores import NUM_GROUPS
from .score_store import ScoreStore
from .scorer import SupernetScorer


class RememberedScores:
    """Scores that are looked up first, and computed and remembered only where nobody has computed them before.

    An estimate of a dropped scheme is not a score and not remembered.

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

    def score_many(
        self, schemes: Sequence[ConnectionScheme], incumbent: ConnectionScheme | None = None
    ) -> list[Measurement]:
        """Measure schemes, those whose score is not remembered together.

        Args:
            schemes: what is scored.
            incumbent: a scheme that is not remembered may be dropped if it loses against it.
        """
        found = {scheme: self.store.find(scheme) for scheme in schemes}
        missing = [scheme for scheme, metric in found.items() if metric is None]
        computed = dict(zip(missing, self.scorer.score_many(missing, incumbent), strict=True)) if missing else {}
        self.num_found += len(found) - len(missing)
        for scheme, measured in computed.items():
            if measured.num_images is None and math.isfinite(measured.metric):
                self.store.add(scheme, measured.metric)
        known = {scheme: Measurement(metric) for scheme, metric in found.items() if metric is not None}
        return [(known | computed)[scheme] for scheme in schemes]

    def score_groups(self, schemes: Sequence[ConnectionScheme], num_groups: int = NUM_GROUPS) -> GroupScores:
        """See ``SupernetScorer.score_groups``: all are computed, as no store holds groups, and their metrics remembered."""
        scores = self.scorer.score_groups(schemes, num_groups)
        for scheme, metric in zip(scores.schemes, scores.metrics.tolist(), strict=True):
            if math.isfinite(metric):
                self.store.add(scheme, metric)
        return scores

    def describe_work(self) -> dict[str, int]:
        """What has been looked up and computed so far, by name."""
        return {'remembered': self.num_found, **self.scorer.describe_work()}

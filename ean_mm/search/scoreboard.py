"""All evaluations of a search, and what they say together."""

from __future__ import annotations

from collections.abc import Iterable

from ..structures import ConnectionScheme
from .results import Evaluation


class Scoreboard:
    """Remember evaluations in order, and the score of each scheme that has one.

    Args:
        min_connected: schemes with fewer connections are scored but never ranked; nor is one with a mere estimate.

    Attributes:
        evaluations: all of them, failed ones included, in order.
        num_failures: how many of them failed.
        num_partial: how many of them are estimates.
    """

    def __init__(self, min_connected: int):
        self.min_connected = min_connected
        self.evaluations: list[Evaluation] = []
        self.num_failures = 0
        self.num_partial = 0
        self._scored: dict[ConnectionScheme, Evaluation] = {}

    def __contains__(self, scheme: object) -> bool:
        return scheme in self._scored

    def __len__(self) -> int:
        return len(self._scored)

    def add(self, evaluations: Iterable[Evaluation]) -> None:
        """Remember further evaluations."""
        for evaluation in evaluations:
            self.evaluations.append(evaluation)
            self.num_partial += evaluation.is_partial
            if evaluation.reward is None:
                self.num_failures += 1
            else:
                self._scored[evaluation.scheme] = evaluation

    def find(self, scheme: ConnectionScheme) -> Evaluation | None:
        """The evaluation of ``scheme``: the successful one, else its first failure, else None."""
        failures = (e for e in self.evaluations if e.scheme == scheme)
        return self._scored.get(scheme) or next(failures, None)

    def rewards(self, schemes: Iterable[ConnectionScheme]) -> list[float]:
        """The rewards of those of ``schemes`` that have one, in order."""
        known = (self._scored[scheme].reward for scheme in schemes if scheme in self._scored)
        return [reward for reward in known if reward is not None]

    @property
    def best(self) -> Evaluation | None:
        """The first of the ranking; None while nothing is eligible."""
        return min(self._eligible(), key=lambda evaluation: evaluation.rank, default=None)

    def ranking(self, num: int) -> tuple[Evaluation, ...]:
        """The best ``num`` eligible evaluations, best first."""
        return tuple(sorted(self._eligible(), key=lambda evaluation: evaluation.rank)[:num])

    def _eligible(self) -> list[Evaluation]:
        scored = self._scored.values()
        return [e for e in scored if not e.is_partial and e.scheme.num_connected >= self.min_connected]

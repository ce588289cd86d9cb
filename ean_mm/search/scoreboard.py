"""All evaluations of a search, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..structures import ConnectionScheme
from .results import Evaluation

SEARCHED = ('control', 'warm', 'proposal')  # roles of what the search itself scores; others come after its end


class Scoreboard:
    """Remember evaluations in order, and the score of each scheme that has one.

    Args:
        allows: which schemes may become the ticket; others are scored but never ranked, nor is one with a mere estimate, nor
            one that was scored after the end of the search.

    Attributes:
        evaluations: all of them, failed ones included, in order.
        best: the first of the ranking; None while nothing is eligible.
        num_failures: how many evaluations failed.
        num_partial: how many are estimates.
        num_searched: how many schemes the search itself has scored.
        num_idle: how many of these since the best of them.
    """

    def __init__(self, allows: Callable[[ConnectionScheme], bool] = lambda scheme: True):
        self._allows = allows
        self.evaluations: list[Evaluation] = []
        self.best: Evaluation | None = None
        self.num_failures = 0
        self.num_partial = 0
        self.num_searched = 0
        self.num_idle = 0
        self._scored: dict[ConnectionScheme, Evaluation] = {}
        self._searched: set[ConnectionScheme] = set()
        self._eligible: list[Evaluation] = []

    def __contains__(self, scheme: object) -> bool:
        return scheme in self._scored

    def has_full_score(self, scheme: ConnectionScheme) -> bool:
        """Whether a scheme was scored on all images."""
        return scheme in self._scored and not self._scored[scheme].is_partial

    def was_searched(self, scheme: ConnectionScheme) -> bool:
        """Whether the search itself has a score of the scheme; one that was made after its end does not count."""
        return scheme in self._searched

    def add(self, evaluations: Iterable[Evaluation]) -> None:
        """Remember further evaluations."""
        for evaluation in evaluations:
            self.evaluations.append(evaluation)
            self.num_partial += evaluation.is_partial
            if evaluation.reward is None:
                self.num_failures += 1
            else:
                self._rank(evaluation)

    def _rank(self, evaluation: Evaluation) -> None:
        is_searched = evaluation.role in SEARCHED
        is_eligible = is_searched and not evaluation.is_partial and self._allows(evaluation.scheme)
        is_best = is_eligible and (self.best is None or evaluation.rank < self.best.rank)
        if is_searched:
            self._searched.add(evaluation.scheme)
            self.num_searched += 1
            self.num_idle = 0 if is_best else self.num_idle + 1
        self._scored[evaluation.scheme] = evaluation
        if is_eligible:
            self._eligible.append(evaluation)
        if is_best:
            self.best = evaluation

    def find(self, scheme: ConnectionScheme) -> Evaluation | None:
        """The evaluation of ``scheme``: the successful one, else its first failure, else None."""
        failures = (e for e in self.evaluations if e.scheme == scheme)
        return self._scored.get(scheme) or next(failures, None)

    def rewards(self, schemes: Iterable[ConnectionScheme]) -> list[float]:
        """The rewards of those of ``schemes`` that have one, in order."""
        known = (self._scored[scheme].reward for scheme in schemes if scheme in self._scored)
        return [reward for reward in known if reward is not None]

    def ranking(self, num: int | None = None) -> tuple[Evaluation, ...]:
        """The best ``num`` eligible evaluations, or all of them, best first."""
        return tuple(sorted(self._eligible, key=lambda evaluation: evaluation.rank)[:num])

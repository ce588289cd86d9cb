"""What a search can say when it has ended: whether its ticket is better than chance, and why it is what it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..search import Evaluation
from ..structures import ConnectionScheme, GroupScores
from .controls import choose_controls, count_of_size
from .effects import Effects, TellMasks, find_effects, flip_each
from .verdict import Rewarding, Verdict, judge

NUM_CANDIDATES = 20


class ScoresGroups(Protocol):
    """What conclusions need of a scorer."""

    def score_groups(self, schemes: Sequence[ConnectionScheme]) -> GroupScores:
        """Measure schemes group by group of the reward images."""


@dataclass(frozen=True)
class Conclusion:
    """What a search can say when it has ended.

    Attributes:
        verdict: whether the ticket is better than chance.
        effects: why it is what it is.
        scores: of all schemes that were measured for this.
        roles: of these schemes, as in ``Evaluation.role``: 'control', 'random' or 'probe'; candidates, which have a score
            already, are left out.
    """

    verdict: Verdict
    effects: Effects
    scores: GroupScores
    roles: Mapping[ConnectionScheme, str]


def conclude(
    scorer: ScoresGroups,
    evaluations: Iterable[Evaluation],
    ticket: ConnectionScheme,
    metric: str,
    reward: Rewarding,
    is_allowed: TellMasks,
    fixed: Mapping[int, bool] | None = None,
    seed: int = 0,
) -> Conclusion:
    """Measure the ticket, its rivals, controls and flips once more, group by group of the same images, and compare them.

    On several ranks, all call it alike. The same arguments give the same conclusion, whichever of the evaluations that it leads
    to are among ``evaluations`` already.

    Args:
        scorer: measures; scores it has measured before come out the same.
        evaluations: of the search.
        ticket: the best of them.
        metric: its name.
        reward: makes a reward of a metric and a mask.
        is_allowed: tells which masks may become the ticket.
        fixed: bits that are not free, by their numbers.
        seed: of the choice of random schemes, and of the bootstrap.

    Cost: scoring of up to 44 + n schemes, n the number of blocks.
    """
    full = _score_of_each(evaluations)
    eligible = [scheme for scheme in full if is_allowed(scheme.mask[None])[0]]
    ranked = sorted(eligible, key=lambda scheme: full[scheme].rank)
    candidates = list(dict.fromkeys([ticket, *ranked]))[:NUM_CANDIDATES]
    controls = choose_controls(ticket.blocks_per_stage, ticket, seed, fixed)
    roles = {scheme: 'random' if name.startswith('random') else 'control' for name, scheme in controls.items()}
    roles |= {scheme: 'probe' for scheme in flip_each(ticket) if scheme not in roles}
    scores = scorer.score_groups(list(dict.fromkeys([*candidates, *roles])))
    of_size = count_of_size(ticket.num_connections, ticket.num_connected, fixed)
    verdict = judge(scores, ticket, candidates, max(len(eligible), 1), controls, of_size, metric, reward, seed)
    metrics = {scheme: each.metric for scheme, each in full.items()}
    metrics |= zip(scores.schemes, scores.metrics.tolist(), strict=True)
    finite = {scheme: value for scheme, value in metrics.items() if value is not None and np.isfinite(value)}
    masks = np.array([scheme.mask for scheme in sorted(finite, key=str)])
    values = np.array([finite[scheme] for scheme in sorted(finite, key=str)])
    return Conclusion(verdict, find_effects(scores, ticket, masks, values, seed), scores, roles)


def _score_of_each(evaluations: Iterable[Evaluation]) -> dict[ConnectionScheme, Evaluation]:
    """The scores in full that a ticket was chosen from: what a conclusion has added to them is left out."""
    searched = (each for each in evaluations if each.role not in ('probe', 'random'))
    return {each.scheme: each for each in searched if each.reward is not None and not each.is_partial}

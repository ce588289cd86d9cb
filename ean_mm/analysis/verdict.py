"""Is a ticket better than chance? The answer in numbers with intervals, and in plain sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

import numpy as np

from ..structures import ConnectionScheme, GroupScores
from .bootstrap import CONFIDENCE, NUM_RESAMPLES, Bootstrap, Difference
from .winner import estimate_winner

Rewarding = Callable[[float, np.ndarray], float]
_PERCENTAGES = ('precision', 'recall', 'f1-score', 'mIoU', 'mAcc', 'aAcc', 'mDice', 'mFscore', 'mAP')
_RIVALS = {
    'none': 'no attention',
    'all': 'attention everywhere',
    'last stage': 'attention in the last stage',
    'every other': 'attention in every other block',
}


@dataclass(frozen=True)
class Comparison:
    """A ticket against a control.

    Attributes:
        name: 'random', or the name of the control.
        difference: of the ticket minus the control, the luck of being chosen on these very images taken out.
        chosen: with that luck, as found.
    """

    name: str
    difference: Difference
    chosen: Difference

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values."""
        fair, chosen = self.difference, self.chosen
        return {
            'name': self.name,
            'difference': fair.value,
            'low': fair.low,
            'high': fair.high,
            'chosen_difference': chosen.value,
            'chosen_low': chosen.low,
            'chosen_high': chosen.high,
        }


@dataclass(frozen=True)
class Verdict:
    """What the controls say about a ticket.

    Attributes:
        metric: its name.
        ticket: what was judged.
        num_images: how many images all of this rests on.
        num_random: how many random schemes of the ticket's size it was compared with.
        is_sample: whether there are more of that size.
        num_candidates: how many schemes it was chosen from.
        comparisons: with 'random' first, where there are random schemes.
        controls: by name: scheme, metric and reward.
    """

    metric: str
    ticket: ConnectionScheme
    num_images: int
    num_random: int
    is_sample: bool
    num_candidates: int
    comparisons: tuple[Comparison, ...]
    controls: Mapping[str, tuple[ConnectionScheme, float, float]]

    @property
    def verdict(self) -> str:
        """'better', 'worse' or 'not distinguishable' from random schemes, or 'no random schemes'."""
        return self.comparisons[0].difference.verdict if self.num_random else 'no random schemes'

    @property
    def unit(self) -> str:
        """What a difference of the metric is counted in."""
        return 'points' if self.metric.rpartition('/')[2] in _PERCENTAGES or 'accuracy' in self.metric else self.metric

    @property
    def sentence(self) -> str:
        """The verdict for a reader."""
        number = self.ticket.num_connected
        rival = f'random schemes with {number} connection{"s" * (number != 1)}'
        if not self.num_random:
            return f'There are no {rival} to compare with: the ticket is the only one of its size.'
        schemes = f'{self.num_random} schemes' if self.num_random > 1 else 'one scheme'
        if not self.is_sample:
            schemes += ', which are all others of that size' if self.num_random > 1 else ', the only other of that size'
        facts = f'95 %, {schemes}, same {self.num_images:,} images'
        return _spell(self.comparisons[0].difference, rival, facts, self.unit)

    @property
    def sentences(self) -> list[str]:
        """What else there is to say: the other controls, and what choosing does."""
        lines = []
        for each in self.comparisons:
            if each.name in _RIVALS:
                lines.append(_spell(each.difference, _RIVALS[each.name], '95 %', self.unit))
        same = [name for name, control in self.controls.items() if control[0] == self.ticket and name in _RIVALS]
        lines += [f'The ticket is {_RIVALS[name]}.' for name in same]
        if self.num_random:
            chosen = self.comparisons[0].chosen
            text = _spell_number(chosen.value, chosen.margin, self.unit)
            lines.append(
                f'Without regard to the choice, the ticket differs from the random schemes by {text}: the best of '
                f'{self.num_candidates:,} looks better than it is.'
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain values, for ``verdict.json``."""
        return {
            'metric': self.metric,
            'ticket': str(self.ticket),
            'num_connected': self.ticket.num_connected,
            'num_images': self.num_images,
            'num_random': self.num_random,
            'confidence': CONFIDENCE,
            'num_resamples': NUM_RESAMPLES,
            'num_candidates': self.num_candidates,
            'verdict': self.verdict,
            'sentence': self.sentence,
            'sentences': self.sentences,
            'comparisons': [comparison.to_dict() for comparison in self.comparisons],
            'controls': [
                {
                    'name': name,
                    'scheme': str(scheme),
                    'num_connected': scheme.num_connected,
                    'metric': metric,
                    'reward': reward,
                }
                for name, (scheme, metric, reward) in self.controls.items()
            ],
        }


def judge(
    scores: GroupScores,
    ticket: ConnectionScheme,
    candidates: Sequence[ConnectionScheme],
    num_candidates: int,
    controls: Mapping[str, ConnectionScheme],
    num_of_size: int,
    metric: str,
    reward: Rewarding,
    seed: int = 0,
) -> Verdict:
    """Compare a ticket with its controls.

    A ticket is the best of many, and part of what made it best is luck with the very images that it is compared on: its plain
    difference to others is too large. The verdict rests on the difference that is left when the choice is taken into account,
    see :func:`estimate_winner`. Images are drawn with replacement, group by group, the same ones for all schemes; the random
    schemes are drawn as well, as they stand for all of their size. What the search learned from these images before it
    proposed the candidates is not taken into account.

    Args:
        scores: of all schemes named below.
        ticket: the candidate of highest reward.
        candidates: those with the highest rewards, the ticket among them.
        num_candidates: how many schemes the ticket was chosen from.
        controls: by name; those named 'random ...' have the ticket's size.
        num_of_size: how many schemes of the ticket's size there are.
        metric: its name.
        reward: makes a reward of a metric and a mask.
        seed: of the bootstrap.
    """
    bootstrap = Bootstrap(scores.sizes, seed)
    own = scores.rows([ticket])[0]
    others = [scheme for scheme in candidates if scheme != ticket]
    rewards = np.array([reward(scores.metric(scheme), scheme.mask) for scheme in (ticket, *others)])
    gaps, drawn_gaps = rewards[0] - rewards[1:], bootstrap.draw(own - scores.rows(others))
    resolution = _find_resolution(scores.metrics)

    def compare(name: str, rival: np.ndarray, drawn_rival: np.ndarray) -> Comparison:
        value = float((own - rival) @ scores.weights)
        drawn = bootstrap.draw(own) - drawn_rival
        fair = estimate_winner(value, drawn, gaps, drawn_gaps, num_candidates, resolution)
        return Comparison(name, fair, bootstrap.interval(value, drawn))

    peers = [scheme for name, scheme in controls.items() if name.startswith('random')]
    is_sample = num_of_size - 1 > len(peers)
    comparisons = []
    if peers:
        rows = scores.rows(peers)
        comparisons.append(compare('random', rows.mean(0), bootstrap.draw_members(rows, is_sample)))
    for name in _RIVALS:
        if name in controls and controls[name] != ticket:
            row = scores.rows([controls[name]])[0]
            comparisons.append(compare(name, row, bootstrap.draw(row)))
    judged = {
        name: (each, scores.metric(each), reward(scores.metric(each), each.mask)) for name, each in controls.items()
    }
    return Verdict(metric, ticket, scores.num_images, len(peers), is_sample, num_candidates, tuple(comparisons), judged)


def _find_resolution(metrics: np.ndarray) -> float:
    """The smallest step between two scores, rounding aside; near 0 of a metric that is not counted in images."""
    scale = float(np.abs(metrics).max()) or 1.0
    steps = np.diff(np.unique((metrics / scale).round(6)))
    return float(steps.min(initial=np.inf)) * scale if len(steps) else 0.0


def _spell(difference: Difference, rival: str, facts: str, unit: str) -> str:
    if difference.verdict == 'not distinguishable':
        number = _spell_number(difference.value, difference.margin, unit)
        return f'Not distinguishable from {rival}: {number} ({facts}).'
    number = _spell_number(abs(difference.value), difference.margin, unit)
    return f'{difference.verdict.capitalize()} than {rival} by {number} ({facts}).'


def _spell_number(value: float, margin: float, unit: str) -> str:
    digits = 2 if margin <= 0 else min(6, max(2, ceil(-log10(margin)) + 1))
    return f'{value:.{digits}f} ± {margin:.{digits}f} {unit}'

"""What a search hands out: evaluations, reports of its steps, and the result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..structures import ConnectionScheme, DamagedFileError
from ..structures.checks import require_whole


def rank_scheme(scheme: ConnectionScheme, reward: float | None) -> tuple[float, int, str]:
    """A key that sorts schemes: high reward first, then few connections, then the bits; no reward comes last.

    >>> schemes = [ConnectionScheme.from_string(bits) for bits in ('11', '10', '01')]
    >>> [str(scheme) for scheme in sorted(schemes, key=lambda scheme: rank_scheme(scheme, 2.0))]
    ['01', '10', '11']
    """
    return float('inf') if reward is None else -reward, scheme.num_connected, str(scheme)


@dataclass(frozen=True)
class Evaluation:
    """One scoring of one scheme; a line of ``search.jsonl``.

    Attributes:
        scheme: what was scored.
        role: 'control' (none and all), 'warm' (given at the start) or 'proposal'; after the end of the search, and never the
            ticket, 'probe' (to know the ticket better) or 'random' (random schemes of its size, to compare it with).
        step: the step that proposed it; None if none did.
        metric: what the evaluator measured, in its units; None if the scoring failed.
        reward: what the strategy learns from; None if the scoring failed.
        reason: why it failed; None if it did not.
        num_images: how many images metric and reward are estimated on, because the scheme was dropped as lost; None if
            it was scored on all.
    """

    scheme: ConnectionScheme
    role: str
    step: int | None
    metric: float | None
    reward: float | None
    reason: str | None = None
    num_images: int | None = None

    @property
    def is_partial(self) -> bool:
        """Whether the metric is an estimate that must not be compared with scores."""
        return self.num_images is not None

    @property
    def rank(self) -> tuple[float, int, str]:
        """Sorts evaluations; see :func:`rank_scheme`."""
        return rank_scheme(self.scheme, self.reward)

    def to_line(self) -> bytes:
        """The evaluation as a line of strict JSON."""
        fields: dict[str, Any] = {
            'step': self.step,
            'role': self.role,
            'scheme': str(self.scheme),
            'num_connected': self.scheme.num_connected,
            'metric': self.metric,
            'reward': self.reward,
        }
        if self.reason is not None:
            fields['reason'] = self.reason
        if self.num_images is not None:
            fields['num_images'] = self.num_images
        return json.dumps(fields, allow_nan=False).encode() + b'\n'

    @classmethod
    def from_line(cls, line: bytes) -> Evaluation:
        """Read what :meth:`to_line` wrote.

        Raises:
            DamagedFileError: if it was something else.
        """
        try:
            fields = json.loads(line)
            scheme = ConnectionScheme.from_string(fields['scheme'])
            numbers = fields['step'], fields['metric'], fields['reward']
            num_images = require_whole('num_images', fields['num_images'], 1) if 'num_images' in fields else None
            return cls(scheme, fields['role'], *numbers, fields.get('reason'), num_images)
        except (ValueError, KeyError, TypeError) as err:
            raise DamagedFileError(f'`line` must be an evaluation, but got {line[:80]!r}; it is damaged.') from err


@dataclass(frozen=True)
class StepReport:
    """Where a search stands after a step, for progress bars and scalars.

    Attributes:
        step: the step just done, from 0; None for the controls before it.
        num_steps: how many there are at most.
        num_distinct: distinct schemes with a score so far, those dropped with an estimate included.
        max_distinct: the search ends with so many.
        num_failures: scorings that failed so far.
        best: the would-be ticket; None while no scheme is eligible.
        mean_reward: over this step's proposals, repeated ones and estimates included; None if all failed.
        mean_sparsity: over this step's proposals.
        evaluations: what was scored in this step; repeated proposals are not.
        summary: what the strategy says about itself.
        seconds: how long the step took.
    """

    step: int | None
    num_steps: int
    num_distinct: int
    max_distinct: int
    num_failures: int
    best: Evaluation | None
    mean_reward: float | None
    mean_sparsity: float
    evaluations: tuple[Evaluation, ...]
    summary: dict[str, float]
    seconds: float

    @property
    def progress(self) -> float:
        """How much of the search is done, in [0, 1]: the larger share of steps and schemes."""
        steps = 0 if self.step is None else (self.step + 1) / self.num_steps
        return min(1.0, max(steps, self.num_distinct / self.max_distinct))


@dataclass(frozen=True)
class SearchResult:
    """What a search has found.

    Attributes:
        best: the ticket's evaluation; None if no eligible scheme has a score.
        none: the control without attention; its metric is None if it failed; None before it ran.
        all: the control with attention everywhere, likewise.
        top: the best eligible evaluations, best first.
        num_steps: steps done.
        num_evaluations: scorings, failed ones included.
        num_distinct: distinct schemes that the search has scored, those dropped with an estimate included.
        num_failures: scorings that failed.
        num_partial: schemes that were dropped with an estimate; never best or among the top.
        end: why the search is over, in words; None if it is not.
    """

    best: Evaluation | None
    none: Evaluation | None
    all: Evaluation | None
    top: tuple[Evaluation, ...]
    num_steps: int
    num_evaluations: int
    num_distinct: int
    num_failures: int
    num_partial: int
    end: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.end is not None

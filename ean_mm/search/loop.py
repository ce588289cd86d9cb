"""The search itself: propose, score, learn, commit."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from ..structures import ConnectionScheme, Ticket
from ..structures.checks import require_whole
from .record import RESTART_HINT, SearchRecord
from .results import Evaluation, SearchResult, StepReport
from .reward import Reward
from .scoreboard import Scoreboard
from .scoring import ScoreMany, evaluate, warn
from .state_file import SearchStateError
from .strategy import Strategy

NUM_TOP = 5


class SearchFailedError(RuntimeError):
    """Too many scorings in a row have failed."""


class SearchLoop:
    """Run a strategy against a score, each distinct scheme scored once, each step made permanent.

    The controls none and all are scored first and taught to nobody. Then, step by step: propose,
    score together what has no score yet, observe the rewards of all proposals, commit. A score that
    is not finite, or that runs out of memory twice, is a failure: logged, counted, not remembered,
    not learned from. A scheme that scoring drops, as lost against the best one before the step, has
    an estimate for a score: learned from, never ranked. The search ends after ``num_steps``, after
    ``max_schemes``, or when every scheme has a score. Whatever ends the process, the same call
    continues from the last commit and leaves the same ``search.jsonl`` and ``ticket.json`` as if
    nothing had happened.

    The ticket is the scheme of highest reward among those with at least ``min_connected``
    connections, controls included; of equals the one with fewer connections, then the first in
    alphabetical order.

    Args:
        strategy: what proposes.
        score_many: the metrics of schemes; higher is better. May drop a scheme that loses against
            the incumbent; None forbids that. On several ranks, all must get the same values or the
            same exception. See ``one_by_one`` for a function that scores one scheme.
        reward: makes a reward of a metric and a mask.
        record: the files; open on the rank that writes.
        blocks_per_stage: layout of the schemes.
        make_ticket: makes a ticket of the best evaluation; called on the writing rank only.
        num_steps: how many steps at most; None takes the strategy's own wish.
        max_schemes: how many distinct schemes get a score at most, the two controls included.
        min_connected: a scheme with fewer connections does not become the ticket.
        max_failures: so many failures in a row stop the search.
        on_step: called after each commit of a step.
        describe_work: what scoring has computed so far, as numbers by name; noted in ``timing.jsonl`` after each step.

    Raises: ValueError if an argument is outside its range or does not fit the layout.

    Attributes:
        next_step: the step to take next; None until the controls are scored.
    """

    def __init__(
        self,
        strategy: Strategy,
        score_many: ScoreMany,
        reward: Reward,
        record: SearchRecord,
        blocks_per_stage: Sequence[int],
        make_ticket: Callable[[Evaluation], Ticket],
        *,
        num_steps: int | None = None,
        max_schemes: int | None = None,
        min_connected: int = 0,
        max_failures: int = 5,
        on_step: Callable[[StepReport], None] | None = None,
        describe_work: Callable[[], dict[str, int]] | None = None,
    ):
        self.none = ConnectionScheme.none(blocks_per_stage)
        self.all = ConnectionScheme.all(blocks_per_stage)
        self.blocks_per_stage = self.all.blocks_per_stage
        num_connections = self.all.num_connections
        _check_fit(strategy, min_connected, self.blocks_per_stage)
        self.strategy = strategy
        strategy.min_connected = min_connected
        self.score_many = score_many
        self.reward = reward
        self.record = record
        self.make_ticket = make_ticket
        wish = strategy.num_steps if num_steps is None else num_steps
        self.num_steps = require_whole('num_steps', wish, 1)
        limit = None if max_schemes is None else require_whole('max_schemes', max_schemes, 2)
        self.max_distinct = 2**num_connections if limit is None else min(limit, 2**num_connections)
        self.min_connected = min_connected
        self.max_failures = require_whole('max_failures', max_failures, 1)
        self.on_step = on_step
        self.describe_work = describe_work
        self._first_state = copy.deepcopy(strategy.state_dict())
        self.next_step: int | None = None
        self._forget()

    # -- where it stands ---------------------------------------------------------------------------

    def load(self) -> None:
        """Go to where the last commit left off. With several ranks, let all load before any runs.

        Raises:
            SearchStateError: if the record holds another search or is damaged.
        """
        self._forget()
        found = self.record.load()
        if found is None:
            self.strategy.load_state_dict(copy.deepcopy(self._first_state))
        else:
            content, evaluations = found
            self._require_layout(evaluations)
            self.strategy.load_state_dict(content['strategy'])
            self.next_step = content['next_step']
            self._failures_in_a_row = content['failures_in_a_row']
            self._board.add(evaluations)
        self._is_committed = found is not None
        self._is_loaded = True

    def _require_layout(self, evaluations: Sequence[Evaluation]) -> None:
        found = {evaluation.scheme.blocks_per_stage for evaluation in evaluations}
        if found - {self.blocks_per_stage}:
            raise SearchStateError(
                f'`work_dir` must hold a search over {self.blocks_per_stage} blocks per stage, but '
                f'got {str(self.record.directory)!r} with {found}; {RESTART_HINT}.'
            )

    def _forget(self) -> None:
        self._board = Scoreboard(self.min_connected)
        self.next_step = None
        self._failures_in_a_row = 0
        self._in_ticket: Evaluation | None = None
        self._is_committed = self._is_loaded = False

    @property
    def num_distinct(self) -> int:
        """How many schemes have a score."""
        return len(self._board)

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """All evaluations so far, failed ones included, in order."""
        return tuple(self._board.evaluations)

    @property
    def best(self) -> Evaluation | None:
        """The evaluation that makes the ticket; None while no scheme is eligible."""
        return self._board.best

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        if self.next_step is None:
            return False
        return self.next_step >= self.num_steps or self.num_distinct >= self.max_distinct

    def result(self, num_top: int = NUM_TOP) -> SearchResult:
        """What is known so far; ``num_top`` is how many evaluations to rank."""
        return SearchResult(
            best=self.best,
            none=self._board.find(self.none),
            all=self._board.find(self.all),
            top=self._board.ranking(num_top),
            num_steps=self.next_step or 0,
            num_evaluations=len(self._board.evaluations),
            num_distinct=self.num_distinct,
            num_failures=self._board.num_failures,
            num_partial=self._board.num_partial,
            is_finished=self.is_finished,
        )

    # -- running -----------------------------------------------------------------------------------

    def run(self) -> SearchResult:
        """Search from where the last commit left off to the end.

        Raises:
            SearchStateError: if the record holds another search or is damaged.
            SearchFailedError: after ``max_failures`` failures in a row; a later call tries again.
        """
        if not self._is_loaded:
            self.load()
        # From here on an exception can leave memory ahead of the files: the next call reads them.
        self._is_loaded = False
        if not self._is_committed:
            self._commit(())
        if self.next_step is None:
            self._score_controls()
        while not self.is_finished:
            self._take_step(self.next_step or 0)
        self._restore_ticket()
        return self.result()

    def _score_controls(self) -> None:
        start = time.perf_counter()
        controls = [self.none, self.all]
        evaluations, scoring = self._score_new(controls, 'control', None)
        self.next_step = 0
        self._finish_step(None, controls, evaluations, scoring, start)

    def _take_step(self, step: int) -> None:
        start = time.perf_counter()
        masks = np.asarray(self.strategy.propose(step), dtype=bool)
        schemes = [ConnectionScheme.from_mask(mask, self.blocks_per_stage) for mask in masks]
        evaluations, scoring = self._score_new(schemes, 'proposal', step)
        is_known = np.array([scheme in self._board for scheme in schemes])
        self.strategy.observe(step, masks[is_known], np.array(self._board.rewards(schemes)))
        self.next_step = step + 1
        self._finish_step(step, schemes, evaluations, scoring, start)

    def _finish_step(
        self,
        step: int | None,
        schemes: list[ConnectionScheme],
        evaluations: list[Evaluation],
        scoring: float,
        start: float,
    ) -> None:
        self._commit(evaluations)
        rewards = self._board.rewards(schemes)
        report = StepReport(
            step=step,
            num_steps=self.num_steps,
            num_distinct=self.num_distinct,
            max_distinct=self.max_distinct,
            num_failures=self._board.num_failures,
            best=self.best,
            mean_reward=math.fsum(rewards) / len(rewards) if rewards else None,
            mean_sparsity=math.fsum(scheme.sparsity for scheme in schemes) / len(schemes),
            evaluations=tuple(evaluations),
            summary=dict(self.strategy.summary()),
            seconds=time.perf_counter() - start,
        )
        work = {'proposals': len(schemes), 'scored': len(evaluations), 'distinct': self.num_distinct}
        if self.describe_work is not None:
            work |= self.describe_work()
        self.record.note_time(step=step, time=time.time(), seconds=report.seconds, scoring=scoring, **work)
        if self.on_step is not None:
            self.on_step(report)

    # -- scoring -----------------------------------------------------------------------------------

    def _score_new(
        self, schemes: list[ConnectionScheme], role: str, step: int | None
    ) -> tuple[list[Evaluation], float]:
        """Score what has no score yet, as far as ``max_schemes`` goes; return the seconds it took as well."""
        start = time.perf_counter()
        # One incumbent for the whole step, so that a resumed search decides alike; the controls have none before them.
        incumbent = None if self.best is None else self.best.scheme
        waiting = [scheme for scheme in dict.fromkeys(schemes) if scheme not in self._board]
        evaluations: list[Evaluation] = []
        while (
            waiting and (room := self.max_distinct - self.num_distinct) > 0
        ):  # a failure leaves room for a further one
            chosen, waiting = waiting[:room], waiting[room:]
            for evaluation in evaluate(self.score_many, self.reward, chosen, incumbent, role, step):
                evaluations.append(evaluation)
                self._board.add([evaluation])
                self._count_failure(evaluation)
        return evaluations, time.perf_counter() - start

    def _count_failure(self, evaluation: Evaluation) -> None:
        if evaluation.reward is not None:
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        warn(
            f"Scheme '{evaluation.scheme}' is not learned from: {evaluation.reason} "
            f'({self._failures_in_a_row} of {self.max_failures} failures in a row).'
        )
        if self._failures_in_a_row >= self.max_failures:
            raise SearchFailedError(
                f'`score_many` must return finite numbers, but got {self._failures_in_a_row} failures '
                f"in a row, the last for scheme '{evaluation.scheme}': {evaluation.reason}; the "
                f'state in {str(self.record.directory)!r} is intact: mend the cause and run '
                'the same command again.'
            )

    # -- files -------------------------------------------------------------------------------------

    def _commit(self, evaluations: Sequence[Evaluation]) -> None:
        best, ticket = self.best, None
        if self.record.is_writer and best is not None and best != self._in_ticket:
            ticket = self.make_ticket(best)
        content = {
            'next_step': self.next_step,
            'failures_in_a_row': self._failures_in_a_row,
            'strategy': self.strategy.state_dict(),
        }
        self.record.commit(content, evaluations, ticket)
        self._in_ticket = best

    def _restore_ticket(self) -> None:
        """Write the ticket of a finished search anew if somebody took it away."""
        best = self.best
        is_missing = not self.record.ticket_path.exists()
        if self.record.is_writer and best is not None and is_missing:
            self.record.save_ticket(self.make_ticket(best))


def _check_fit(strategy: Strategy, min_connected: int, blocks_per_stage: tuple[int, ...]) -> None:
    num_connections = sum(blocks_per_stage)
    if strategy.num_connections != num_connections:
        raise ValueError(
            f'`strategy` must propose {num_connections} bits for {blocks_per_stage} '
            f'blocks per stage, but got {strategy.num_connections}.'
        )
    if require_whole('min_connected', min_connected, 0) > num_connections:
        raise ValueError(
            f'`min_connected` must be at most the {num_connections} connections there are, but got {min_connected}.'
        )

"""The search itself: propose, score, learn, commit."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..structures import ConnectionScheme, Ticket
from ..structures.checks import require_whole
from .budget import Budget
from .record import SearchRecord
from .results import Evaluation, SearchResult, StepReport
from .reward import Reward
from .scoreboard import Scoreboard
from .scoring import ScoreMany, evaluate
from .space import SearchSpace
from .standing import Standing
from .strategies.strategy import Strategy, seeded_generator

NUM_TOP = 5


class SearchLoop:
    """Run a strategy against a score, each distinct scheme scored once, each step made permanent.

    The controls none and all are scored first and taught to nobody; then the schemes of a warm start, which are. Then, step by
    step: propose, bring what is beyond the limits within them, score together what has no score yet, observe the rewards of
    all proposals, commit. A score that is not finite, or that runs out of memory twice, is a failure: logged, counted, not
    remembered, not learned from. A scheme that scoring drops, as lost against the best one before the step, has an estimate
    for a score: learned from, never ranked. The search ends when its budget is used, when the strategy has converged, or when
    every scheme has a score; :meth:`extend` then scores further ones. Whatever ends the process, the same call continues
    from the last commit and leaves the same ``search.jsonl`` and ``ticket.json`` as if nothing had happened (unless a limit
    of hours ends it).

    The ticket is the scheme of highest reward that the space allows, controls included, what :meth:`extend` scores excluded; of
    equals the one with fewer connections, then the first in alphabetical order.

    Args:
        strategy: what proposes; its bits are the free ones of the space.
        score_many: the metrics of schemes; higher is better. May drop a scheme that loses against
            the incumbent; None forbids that. On several ranks, all must get the same values or the
            same exception. See ``one_by_one`` for a function that scores one scheme.
        reward: makes a reward of a metric and a mask.
        record: the files; open on the rank that writes.
        space: what may be proposed, and what may become the ticket.
        make_ticket: makes a ticket of the best evaluation; called on the writing rank only.
        budget: when to end; its ``num_steps`` None takes the strategy's own wish.
        warm_start: schemes that may be proposed, scored before the first step.
        max_failures: so many failures in a row stop the search.
        on_step: called after each commit of a step.
        describe_work: what scoring has computed so far, as numbers by name; noted in ``timing.jsonl`` after each step.
        count_images: how many images an evaluation took; None where nobody asks.
        read_clock: seconds, on all ranks the same.

    Raises: ValueError if an argument is outside its range or does not fit the space.
    """

    def __init__(
        self,
        strategy: Strategy,
        score_many: ScoreMany,
        reward: Reward,
        record: SearchRecord,
        space: SearchSpace,
        make_ticket: Callable[[Evaluation], Ticket],
        *,
        budget: Budget | None = None,
        warm_start: Sequence[ConnectionScheme] = (),
        max_failures: int = 5,
        on_step: Callable[[StepReport], None] | None = None,
        describe_work: Callable[[], dict[str, int]] | None = None,
        count_images: Callable[[Evaluation], int] | None = None,
        read_clock: Callable[[], float] = time.time,
    ):
        self.none = ConnectionScheme.none(space.blocks_per_stage)
        self.all = ConnectionScheme.all(space.blocks_per_stage)
        self.space = space
        self.warm_start = tuple(dict.fromkeys(warm_start))
        _check_fit(strategy, space, self.warm_start)
        self.strategy = strategy
        strategy.is_allowed = space.is_allowed_free
        self.score_many = score_many
        self.reward = reward
        self.record = record
        self.make_ticket = make_ticket
        budget = budget or Budget()
        self.num_steps = budget.num_steps or strategy.num_steps
        self.budget = replace(budget, num_steps=self.num_steps)
        self.max_distinct = space.count([self.none, self.all, *self.warm_start])
        if self.budget.max_schemes is not None:
            self.max_distinct = min(self.budget.max_schemes, self.max_distinct)
        self.max_failures = require_whole('max_failures', max_failures, 1)
        self.on_step = on_step
        self.describe_work = describe_work
        self.count_images = count_images or (lambda evaluation: 0)
        self.read_clock = read_clock
        self._first_state = copy.deepcopy(strategy.state_dict())
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
            self._standing.restore(content, evaluations, self.record.directory)
            self.strategy.load_state_dict(content['strategy'])
        self._is_committed = found is not None
        self._is_loaded = True

    def _forget(self) -> None:
        self._standing = Standing(self.space, self.count_images)
        self._in_ticket: Evaluation | None = None
        self._is_committed = self._is_loaded = False

    @property
    def next_step(self) -> int | None:
        """The step to take next; None until the controls are scored."""
        return self._standing.next_step

    @property
    def _board(self) -> Scoreboard:
        return self._standing.board

    @property
    def num_distinct(self) -> int:
        """How many schemes the search has scored; what came after its end is not counted."""
        return self._board.num_searched

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """All evaluations so far, failed ones included, in order."""
        return tuple(self._board.evaluations)

    @property
    def best(self) -> Evaluation | None:
        """The evaluation that makes the ticket; None while no scheme is eligible."""
        return self._board.best

    def find_end(self) -> str | None:
        """Why the search is over, in words; None if it is not."""
        if self.next_step is None:
            return None
        if self.num_distinct >= self.max_distinct and self.max_distinct != self.budget.max_schemes:
            return f'every scheme has a score, {self.num_distinct:,} in all'
        if self.strategy.has_converged:
            return f'nothing better is expected after {self.num_distinct:,} schemes'
        return self.budget.find_end(self._standing.spent)

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.find_end() is not None

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
            end=self.find_end(),
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

    def extend(self, role: str, schemes: Sequence[ConnectionScheme]) -> None:
        """Score schemes after the end of :meth:`run`, those that have no full score yet, and commit.

        Args:
            role: what they are for, 'probe' or 'random'; none becomes the ticket.
            schemes: what to score; no scheme is dropped.

        Raises:
            SearchFailedError: as :meth:`run`.
        """
        start = self.read_clock()
        waiting = [scheme for scheme in dict.fromkeys(schemes) if not self._board.has_full_score(scheme)]
        if waiting:
            evaluations = self._score_together(waiting, None, role, None)
            self._standing.seconds += self.read_clock() - start
            self._commit(evaluations)

    def _score_controls(self) -> None:
        start = time.perf_counter()
        begun = self.read_clock()
        controls = [self.none, self.all]
        evaluations, scoring = self._score_new(controls, 'control', None)
        if self.warm_start:
            warm, more = self._score_new(list(self.warm_start), 'warm', None)
            evaluations, scoring = evaluations + warm, scoring + more
            self._teach(self.strategy.warm_start, self.warm_start)
        self._standing.next_step = 0
        self._standing.seconds += self.read_clock() - begun
        self._finish_step(None, [*controls, *self.warm_start], evaluations, scoring, start)

    def _take_step(self, step: int) -> None:
        start = time.perf_counter()
        begun = self.read_clock()
        masks = self.space.expand(np.asarray(self.strategy.propose(step), dtype=bool))
        masks = self.space.repair(masks, seeded_generator(self.strategy.seed, step, 'repair'))
        schemes = [ConnectionScheme.from_mask(mask, self.space.blocks_per_stage) for mask in masks]
        evaluations, scoring = self._score_new(schemes, 'proposal', step)
        self._teach(lambda masks, rewards: self.strategy.observe(step, masks, rewards), schemes)
        self._standing.next_step = step + 1
        self._standing.seconds += self.read_clock() - begun
        self._finish_step(step, schemes, evaluations, scoring, start)

    def _teach(self, learn: Callable[[np.ndarray, np.ndarray], None], schemes: Sequence[ConnectionScheme]) -> None:
        """Let the strategy learn from those schemes that have a score."""
        known = [scheme for scheme in schemes if scheme in self._board]
        masks = np.array([scheme.mask for scheme in known], dtype=bool).reshape(-1, self.space.num_connections)
        learn(self.space.reduce(masks), np.array(self._board.rewards(known)))

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
        chances = self.strategy.keep_probabilities()
        keep = {} if chances is None else {'keep': self._spell_chances(chances)}
        self.record.note_time(step=step, time=time.time(), seconds=report.seconds, scoring=scoring, **work, **keep)
        if self.on_step is not None:
            self.on_step(report)

    def _spell_chances(self, chances: np.ndarray) -> list[float]:
        """How likely each bit is connected, fixed ones included, to three digits."""
        every = self.space.expand(np.ones((1, self.space.num_free), dtype=bool))[0].astype(float)
        every[self.space.is_free] = chances
        return every.round(3).tolist()

    # -- scoring -----------------------------------------------------------------------------------

    def _score_new(
        self, schemes: list[ConnectionScheme], role: str, step: int | None
    ) -> tuple[list[Evaluation], float]:
        """Score what has no score yet, as far as ``max_schemes`` goes; return the seconds it took as well."""
        start = time.perf_counter()
        # One incumbent for the whole step, so that a resumed search decides alike; the controls have none before them.
        incumbent = None if self.best is None else self.best.scheme
        waiting = [scheme for scheme in dict.fromkeys(schemes) if not self._board.was_searched(scheme)]
        evaluations: list[Evaluation] = []
        while (
            waiting and (room := self.max_distinct - self.num_distinct) > 0
        ):  # a failure leaves room for a further one
            chosen, waiting = waiting[:room], waiting[room:]
            evaluations += self._score_together(chosen, incumbent, role, step)
        return evaluations, time.perf_counter() - start

    def _score_together(
        self, schemes: list[ConnectionScheme], incumbent: ConnectionScheme | None, role: str, step: int | None
    ) -> list[Evaluation]:
        evaluations = evaluate(self.score_many, self.reward, schemes, incumbent, role, step)
        for evaluation in evaluations:
            self._standing.take_in(evaluation, self.max_failures, self.record.directory)
        return evaluations

    # -- files -------------------------------------------------------------------------------------

    def _commit(self, evaluations: Sequence[Evaluation]) -> None:
        best, ticket = self.best, None
        if self.record.is_writer and best is not None and best != self._in_ticket:
            ticket = self.make_ticket(best)
        content = {**self._standing.to_content(), 'strategy': self.strategy.state_dict()}
        self.record.commit(content, evaluations, ticket)
        self._in_ticket = best

    def _restore_ticket(self) -> None:
        """Write the ticket of a finished search anew if somebody took it away."""
        best = self.best
        is_missing = not self.record.ticket_path.exists()
        if self.record.is_writer and best is not None and is_missing:
            self.record.save_ticket(self.make_ticket(best))


def _check_fit(strategy: Strategy, space: SearchSpace, warm_start: Sequence[ConnectionScheme]) -> None:
    if strategy.num_connections != space.num_free:
        raise ValueError(
            f'`strategy` must propose {space.num_free} bits for {space.blocks_per_stage} '
            f'blocks per stage, but got {strategy.num_connections}.'
        )
    for scheme in warm_start:
        if scheme.blocks_per_stage != space.blocks_per_stage or not space.holds(scheme.mask[None])[0]:
            raise ValueError(
                f'`warm_start` must hold schemes of {space.blocks_per_stage} blocks per stage that the search may propose, but '
                f"got '{scheme}'; leave it out, or change `fixed` or `limits`."
            )

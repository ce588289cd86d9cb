"""Where a search stands between two commits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .budget import Spent
from .record import RESTART_HINT
from .results import Evaluation
from .scoreboard import SEARCHED, Scoreboard
from .scoring import warn
from .space import SearchSpace
from .state_file import SearchStateError


class SearchFailedError(RuntimeError):
    """Too many scorings in a row have failed."""


class Standing:
    """What a search has done so far, as far as it is not the strategy's to know.

    Args:
        space: what may become the ticket.
        count_images: how many images an evaluation took.

    Attributes:
        board: all evaluations.
        next_step: the step to take next; None until the controls are scored.
        seconds: of all processes of the search together.
    """

    def __init__(self, space: SearchSpace, count_images: Callable[[Evaluation], int]):
        self.space = space
        self.count_images = count_images
        self.board = Scoreboard(space.allows)
        self.next_step: int | None = None
        self.seconds = 0.0
        self._failures_in_a_row = 0
        self._num_images = 0

    def restore(self, content: dict[str, Any], evaluations: Sequence[Evaluation], directory: Path) -> None:
        """Go to where :meth:`to_content` was written.

        Raises:
            SearchStateError: if the evaluations are of another layout.
        """
        found = {evaluation.scheme.blocks_per_stage for evaluation in evaluations}
        if found - {self.space.blocks_per_stage}:
            raise SearchStateError(
                f'`work_dir` must hold a search over {self.space.blocks_per_stage} blocks per stage, but '
                f'got {str(directory)!r} with {found}; {RESTART_HINT}.'
            )
        self.next_step = content['next_step']
        self._failures_in_a_row = content['failures_in_a_row']
        self.seconds = content.get('seconds', 0.0)
        for evaluation in evaluations:
            self._add(evaluation)

    def to_content(self) -> dict[str, Any]:
        """What a commit keeps of it; the evaluations are in the log."""
        return {
            'next_step': self.next_step,
            'failures_in_a_row': self._failures_in_a_row,
            'seconds': self.seconds,
        }

    @property
    def spent(self) -> Spent:
        """What the search has used so far."""
        board = self.board
        num_idle = 0 if board.best is None else board.num_idle
        return Spent(self.next_step or 0, board.num_searched, self._num_images, self.seconds, num_idle)

    def take_in(self, evaluation: Evaluation, max_failures: int, directory: Path) -> None:
        """Remember an evaluation, and count it if it failed.

        Raises:
            SearchFailedError: if it is the last of ``max_failures`` in a row.
        """
        self._add(evaluation)
        if evaluation.reward is not None:
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        warn(
            f"Scheme '{evaluation.scheme}' is not learned from: {evaluation.reason} "
            f'({self._failures_in_a_row} of {max_failures} failures in a row).'
        )
        if self._failures_in_a_row >= max_failures:
            raise SearchFailedError(
                f'`score_many` must return finite numbers, but got {self._failures_in_a_row} failures '
                f"in a row, the last for scheme '{evaluation.scheme}': {evaluation.reason}; the "
                f'state in {str(directory)!r} is intact: mend the cause and run '
                'the same command again.'
            )

    def _add(self, evaluation: Evaluation) -> None:
        self.board.add([evaluation])
        if evaluation.role in SEARCHED:
            self._num_images += self.count_images(evaluation)

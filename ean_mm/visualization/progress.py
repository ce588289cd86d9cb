"""Progress of a search on the terminal, or as log lines where there is none."""

from __future__ import annotations

import time
from types import TracebackType

from mmengine.logging import print_log
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 20


class SearchProgress:
    """A bar with time left on a terminal; elsewhere a log line now and then. Use it as a context manager.

    Args:
        total: steps in all.
        is_visible: False on every rank but one.
    """

    def __init__(self, total: int, is_visible: bool = True):
        self.total = total
        self.is_visible = is_visible
        console = Console(stderr=True)
        self._bar = (
            Progress(
                TextColumn('search'),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn('left'),
                TimeRemainingColumn(),
                TextColumn('{task.description}'),
                console=console,
            )
            if is_visible and console.is_terminal
            else None
        )
        self._last_line = time.monotonic()
        self._first: tuple[int, float] | None = None  # what was done when, at the first report

    def __enter__(self) -> SearchProgress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task('', total=self.total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int, facts: str) -> None:
        """Show that ``done`` of all steps are behind us, and ``facts`` about them."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=facts)
            return
        now = time.monotonic()
        first, start = self._first = self._first or (done, now)
        is_due = now - self._last_line >= SECONDS_BETWEEN_LINES or done >= self.total
        if not self.is_visible or not is_due:
            return
        self._last_line = now
        left = ''
        if done > first:  # how much was done before the first report is not known: a search may have been resumed
            left = f', about {round((self.total - done) * (now - start) / (done - first))} s left'
        print_log(f'Search {done}/{self.total}{left}: {facts}', logger='current')

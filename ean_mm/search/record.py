"""The files of a search: what is committed survives the process, and nothing else counts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..structures import DamagedFileError, Ticket
from ..structures.durable import reach_point, remove_orphans, sync_directory, write_atomically
from ..structures.shorten import shorten, shorten_difference
from .lock import OWNER_FILE, WriterLock
from .results import Evaluation
from .scoring import warn
from .state_file import SavedState, SearchStateError, dump_state, parse_state

STATE_FILE = 'state.pt'
PREVIOUS_STATE_FILE = 'state.prev.pt'
LOG_FILE = 'search.jsonl'
TIMING_FILE = 'timing.jsonl'
TICKET_FILE = 'ticket.json'
RESTART_HINT = 'choose another work_dir, or pass --restart to move that search aside'


class SearchRecord:
    """The folder a search lives in, which any later process of the same search continues from.

    A commit appends evaluations to ``search.jsonl``, then replaces ``ticket.json``, then the state;
    the state names the length and digest of the log it goes with, and the one before it is kept. A
    process that dies in between leaves a tail of the log that the next commit cuts off.

    Runs: between ``open`` and ``close``, or as a context manager.
    Reads: ``state.pt``, else ``state.prev.pt``; ``search.jsonl``.
    Writes: those, ``timing.jsonl``, ``ticket.json``, and a lock that one process can hold.
    Resume: ``load`` returns what was committed last.
    Ranks: the writer alone locks and writes; others may ``load`` while it does not ``commit``.

    Args:
        directory: the work directory; the writer creates it.
        identity: what makes this search this search, by field; another one's state is refused.
        is_writer: False on every rank but one.

    Raises: ValueError if ``identity`` holds anything but strings.
    """

    def __init__(self, directory: str | os.PathLike, identity: dict[str, str], is_writer: bool = True):
        for name, value in identity.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise ValueError(f'`identity` must hold strings, but got {value!r} for {name!r}.')
        self.directory = Path(directory)
        self.identity = dict(identity)
        self.is_writer = is_writer
        self._lock: WriterLock | None = None
        self._log_bytes = 0
        self._log_digest: Any = None  # of the committed part; None before anything was loaded
        self._damaged: list[Path] = []

    @property
    def ticket_path(self) -> Path:
        """Where the best ticket so far stands."""
        return self.directory / TICKET_FILE

    # -- one writer --------------------------------------------------------------------------------

    def open(self) -> SearchRecord:
        """Take the lock and remove what killed writers left; nothing to do for a rank that reads.

        Raises:
            SearchStateError: if another process has the lock or the folder cannot be written.
        """
        if not self.is_writer:
            return self
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = WriterLock(self.directory)
            owner = lock.acquire()
        except OSError as err:
            raise SearchStateError(
                f'`work_dir` must be a folder that this process can write to, but got '
                f'{str(self.directory)!r} ({err.strerror or err}).'
            ) from err
        if owner is not None:
            raise SearchStateError(
                f'`work_dir` must belong to one search at a time, but got {str(self.directory)!r}, '
                f'which {owner} is using; wait for it to end or choose another work_dir.'
            )
        self._lock = lock
        remove_orphans(self.directory, (STATE_FILE, TICKET_FILE, OWNER_FILE))
        return self

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> SearchRecord:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def restart(self, *others: str) -> Path | None:
        """Move every file of an earlier search into a numbered folder of the work directory.

        Args:
            others: names of further files in the work directory that belong to the search.

        Returns:
            The folder; None if there was nothing to move or this rank only reads.
        """
        if not self._may_write():
            return None
        for name in others:
            if name in ('', '.', '..') or Path(name).name != name:
                raise ValueError(f'`others` must be plain file names, but got {name!r}.')
        # The states go first: files without a state are refused, a state without files as well.
        names = [PREVIOUS_STATE_FILE, STATE_FILE, LOG_FILE, TIMING_FILE, TICKET_FILE, *others]
        paths = [self.directory / name for name in names]
        paths = [path for path in paths if os.path.lexists(path)]
        paths += sorted(self.directory.glob('*.damaged-*'))
        if not paths:
            return None
        folder = _make_numbered(self.directory)
        for path in paths:
            os.replace(path, folder / path.name)
        sync_directory(self.directory)
        self._log_digest = None
        return folder

    # -- reading -----------------------------------------------------------------------------------

    def load(self) -> tuple[dict[str, Any], list[Evaluation]] | None:
        """Read the last commit; changes no file.

        Returns:
            Its content and all evaluations up to it; None if no search has begun here.

        Raises:
            SearchStateError: if the state is another search's, or none is usable.
        """
        damaged: dict[Path, DamagedFileError] = {}
        paths = [self.directory / name for name in (STATE_FILE, PREVIOUS_STATE_FILE)]
        for path in paths:
            try:
                found = self._load_one(path)
            except DamagedFileError as err:
                damaged[path] = err
                continue
            if found is not None:
                if path != paths[0]:
                    self._warn_of_fallback(path, damaged.get(paths[0]))
                self._damaged = list(damaged)
                return found
        if damaged:
            raise SearchStateError(self._describe_damage(damaged))
        self._refuse_leftovers()
        self._log_bytes, self._log_digest = 0, hashlib.sha256()
        return None

    def _load_one(self, path: Path) -> tuple[dict[str, Any], list[Evaluation]] | None:
        data = _read(path)
        if data is None:
            return None
        state = parse_state(data, path.name)
        self._require_same_identity(state.identity)
        log = (_read(self.directory / LOG_FILE) or b'')[: state.log_bytes]
        digest = hashlib.sha256(log)
        if len(log) != state.log_bytes or digest.hexdigest() != state.log_sha256:
            raise DamagedFileError(
                f'`{LOG_FILE}` must start with the {state.log_bytes} bytes that {path.name} names, '
                f'but got {len(log)} others.'
            )
        evaluations = [Evaluation.from_line(line) for line in log.splitlines(keepends=True)]
        self._log_bytes, self._log_digest = len(log), digest
        return state.content, evaluations

    def _require_same_identity(self, found: dict[str, str]) -> None:
        names = [*self.identity, *(name for name in found if name not in self.identity)]
        differing = [
            _spell_difference(name, found.get(name), self.identity.get(name))
            for name in names
            if found.get(name) != self.identity.get(name)
        ]
        if differing:
            raise SearchStateError(
                f'`work_dir` must hold the state of this very search, but got '
                f'{str(self.directory)!r}, where {"; ".join(differing)}; continue with the old '
                f'settings, {RESTART_HINT}.'
            )

    def _refuse_leftovers(self) -> None:
        for name in (LOG_FILE, TICKET_FILE):
            path = self.directory / name
            if os.path.lexists(path) and (not path.is_file() or path.stat().st_size):
                raise SearchStateError(
                    f'`work_dir` must hold {STATE_FILE} beside {name}, but got '
                    f'{str(self.directory)!r} without it; put it back, {RESTART_HINT}.'
                )

    def _describe_damage(self, damaged: dict[Path, DamagedFileError]) -> str:
        found = ' and '.join(f'{path.name} ({err})' for path, err in damaged.items())
        return (
            f'`work_dir` must hold an undamaged state, but got {str(self.directory)!r} with '
            f'{found}; put a good copy back, {RESTART_HINT}.'
        )

    def _warn_of_fallback(self, path: Path, error: DamagedFileError | None) -> None:
        cause = 'is missing.' if error is None else f'cannot be used: {error}'
        warn(f'{self.directory / STATE_FILE} {cause} Continuing from {path.name}, a step earlier.')

    # -- writing -----------------------------------------------------------------------------------

    def commit(
        self,
        content: dict[str, Any],
        evaluations: Sequence[Evaluation] = (),
        ticket: Ticket | None = None,
    ) -> None:
        """Make a step permanent; nothing to do for a rank that reads.

        Args:
            content: what :meth:`load` shall return; plain tensors, numbers, strings, lists, dicts.
            evaluations: what was scored since the last commit.
            ticket: replaces ``ticket.json``; None leaves it.

        Raises:
            OSError: if a file cannot be written; the last commit is then still the valid one.
        """
        if not self._may_write():
            return
        if self._log_digest is None:
            raise RuntimeError('`commit` must follow `load`, but got a record not yet loaded.')
        self._set_damaged_aside()
        lines = b''.join(evaluation.to_line() for evaluation in evaluations)
        digest = self._log_digest.copy()
        digest.update(lines)
        _write_tail(self.directory / LOG_FILE, self._log_bytes, lines)
        if ticket is not None:
            ticket.save(self.ticket_path)
        size = self._log_bytes + len(lines)
        state = SavedState(self.identity, size, digest.hexdigest(), content)
        write_atomically(
            self.directory / STATE_FILE,
            dump_state(state),
            previous=self.directory / PREVIOUS_STATE_FILE,
        )
        self._log_bytes, self._log_digest = size, digest

    def save_ticket(self, ticket: Ticket) -> None:
        """Replace ``ticket.json`` outside a commit; nothing to do for a rank that reads."""
        if self._may_write():
            ticket.save(self.ticket_path)

    def note_time(self, **fields: Any) -> None:
        """Append a line to ``timing.jsonl``, which holds what differs from run to run."""
        if not self._may_write():
            return
        path = self.directory / TIMING_FILE
        complete = (_read(path) or b'').rfind(b'\n') + 1
        line = json.dumps(fields, allow_nan=False).encode() + b'\n'
        _write_tail(path, complete, line, durable=False)

    def _may_write(self) -> bool:
        if self.is_writer and self._lock is None:
            raise RuntimeError('`SearchRecord` must be open, but got one that is closed.')
        return self.is_writer

    def _set_damaged_aside(self) -> None:
        """Keep what could not be read: the next rename would overwrite it."""
        for path in self._damaged:
            number = 1
            while os.path.lexists(aside := path.with_name(f'{path.name}.damaged-{number}')):
                number += 1
            os.replace(path, aside)
        self._damaged = []


def _read(path: Path) -> bytes | None:
    """The content of a file; None if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as err:
        raise DamagedFileError(f'`{path.name}` must be a readable file, but got {err}.') from err


def _write_tail(path: Path, start: int, data: bytes, durable: bool = True) -> None:
    """Have ``data`` follow the first ``start`` bytes of a file, and nothing else."""
    # A link would lead the write out of the work directory.
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_BINARY', 0)
    with os.fdopen(os.open(path, flags, 0o666), 'wb') as file:
        file.truncate(start)
        file.seek(start)
        file.write(data)
        file.flush()
        reach_point(f'{path.name}: written')
        if durable:
            os.fsync(file.fileno())
            reach_point(f'{path.name}: synced')


def _make_numbered(directory: Path) -> Path:
    number = 1
    while os.path.lexists(folder := directory / f'previous_{number}'):
        number += 1
    folder.mkdir()
    return folder


def _spell_difference(name: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f'{name} was not given and is now {shorten(new)}'
    if new is None:
        return f'{name} was {shorten(old)} and is now not given'
    return '{} was {} and is now {}'.format(name, *shorten_difference(old, new))

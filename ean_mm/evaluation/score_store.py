"""Scores that outlive a search: what one run has measured, no later one measures again."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from mmengine.logging import print_log

from ..structures import ConnectionScheme, DamagedFileError
from ..structures.durable import reach_point
from ..structures.shorten import shorten
from ..structures.strict_json import read_strict_json

SECONDS_TO_WAIT = 60.0
_DIGEST_LETTERS = 16
_SHOWN_LINES = 20
_SCORE = {'context': str, 'scheme': str, 'metric': float}
_DESCRIPTION = {'context': str, 'fields': dict}


class ScoreStore:
    """A file of scores that strategies, seeds, resumed runs and work directories share.

    A score counts only where everything it depends on is the same: its context. The file has one line of strict JSON
    per score, with digests of the context and of the line itself, and one line per context that spells it out::

        {"context": "5b1f0d3c9a7e2468", "fields": {"metric": "accuracy/top1"}, "check": "..."}
        {"context": "5b1f0d3c9a7e2468", "scheme": "101 001 010", "metric": 71.25, "check": "..."}

    Lines are only ever appended. Damaged ones are passed over with a warning, those of other contexts with a note. Of
    several scores of one scheme the first counts. A file that cannot be written ends the writing with a warning, not
    the search.

    Runs: the caller reads the bytes and loads them: ``store.load(read_bytes(path))``.
    Reads: nothing by itself.
    Writes: the file, and beside it ``<name>.lock``, which is held for one line at a time: several processes may add.
    Ranks: all load the bytes that rank 0 has read and add the same scores; rank 0 alone writes.

    Args:
        path: the file; the writer creates it and its folder.
        context: what the scores depend on, by name: digests of supernet and reward images, modes, the metric's name.
        is_writer: False on every rank but one; the file is then left alone.

    Raises: ValueError if ``context`` is empty, holds anything but valid text or is beyond 64 KiB.

    Attributes:
        num_foreign: how many of the loaded scores belong to other contexts.

    >>> store = ScoreStore(Path('scores.jsonl'), {'metric': 'accuracy/top1'}, is_writer=False)
    >>> store.add(ConnectionScheme.from_string('101 001'), 71.25)
    >>> store.find(ConnectionScheme.from_string('101 001')), len(store)
    (71.25, 1)
    """

    def __init__(self, path: Path, context: Mapping[str, str], is_writer: bool = True):
        self.path = Path(path)
        self.context = _check_context(context)
        self.is_writer = is_writer
        self.num_foreign = 0
        self._digest = _digest_context(self.context)
        self._description = _to_line({'context': self._digest, 'fields': self.context})
        self._scores: dict[str, float] = {}
        self._lock = FileLock(self.path.with_name(f'{self.path.name}.lock'), timeout=SECONDS_TO_WAIT)
        self._is_described = False
        self._is_writable = True

    def __len__(self) -> int:
        """How many schemes have a score in this context."""
        return len(self._scores)

    def find(self, scheme: ConnectionScheme) -> float | None:
        """The metric of ``scheme``; None if it is not known."""
        return self._scores.get(str(scheme))

    # -- reading -----------------------------------------------------------------------------------

    def load(self, text: bytes) -> None:
        """Know what a file holds, and nothing else.

        Args:
            text: its bytes, see :func:`read_bytes`; the same on all ranks.
        """
        self._scores = {}
        fields_of: dict[str, dict[str, str]] = {}
        foreign: Counter[str] = Counter()
        damaged, contradicting = [], []
        for number, line in enumerate(text.removesuffix(b'\n').split(b'\n') if text else (), 1):
            try:
                found = _parse_line(line)
            except ValueError:
                damaged.append(number)
                continue
            context = found['context']
            if 'fields' in found:
                fields_of[context] = found['fields']
            elif context != self._digest:
                foreign[context] += 1
            elif self._scores.setdefault(found['scheme'], found['metric']) != found['metric']:
                contradicting.append(number)
        self.num_foreign = foreign.total()
        self._report(damaged, contradicting)
        if foreign:
            self._report_foreign([fields_of[context] for context in foreign if context in fields_of])

    def _report(self, damaged: list[int], contradicting: list[int]) -> None:
        if damaged:
            _warn(f'{self.path}: {_spell_lines(damaged)} damaged and passed over; all others are used.')
        if contradicting:
            _warn(
                f'{self.path}: {_spell_lines(contradicting)} at odds with an earlier score of the same scheme, '
                'which is used; the evaluator may not be deterministic.'
            )

    def _report_foreign(self, described: list[dict[str, str]]) -> None:
        names = sorted({name for fields in described for name in _differing(fields, self.context)})
        what = f'what differs: {", ".join(names)}' if names else 'which one is not legible'
        print_log(
            f'{self.path}: {_spell(self.num_foreign, "score")} of another context not used; {what}.',
            logger='current',
            level=logging.INFO,
        )

    # -- writing -----------------------------------------------------------------------------------

    def add(self, scheme: ConnectionScheme, metric: float) -> None:
        """Remember a score; one that is not finite, or whose scheme has one, is not taken.

        Args:
            scheme: what was scored, on all images.
            metric: its score.
        """
        metric = float(metric)
        known = self.find(scheme)
        if known is not None and math.isfinite(metric) and metric != known:
            _warn(f"{self.path}: scheme '{scheme}' has the score {known!r}, which stays, but got {metric!r} now.")
        if known is not None or not math.isfinite(metric):
            return
        self._scores[str(scheme)] = metric
        if self.is_writer and self._is_writable:
            self._write(_to_line({'context': self._digest, 'scheme': str(scheme), 'metric': metric}))

    def _write(self, line: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                if not self._is_described and self._description not in read_bytes(self.path):
                    line = self._description + line
                _append(self.path, line)
            self._is_described = True
        except (OSError, ValueError, NotImplementedError) as err:  # filelock's word for a system without locks
            # Raising here would leave the other ranks waiting, and the search can do without.
            self._is_writable = False
            _warn(f'{self.path} cannot be written ({err}); further scores are remembered in this run only.')


def read_bytes(path: Path) -> bytes:
    """The content of a store's file; empty if there is none yet.

    Raises:
        ValueError: if something else is there, or it cannot be read.
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
            raise OSError(None, 'not a regular file')
        return path.read_bytes()
    except FileNotFoundError:
        return b''
    except OSError as err:
        raise ValueError(
            f'`path` must be a file of scores that can be read, or none yet, but got {str(path)!r} ({err.strerror}); '
            'choose another one.'
        ) from err


def _append(path: Path, data: bytes) -> None:
    """Add ``data`` to a file and flush it to the disk; a line that somebody left unfinished is ended first."""
    # A link would lead the write somewhere else.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_BINARY', 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        if os.lseek(descriptor, 0, os.SEEK_END):
            os.lseek(descriptor, -1, os.SEEK_END)
            if os.read(descriptor, 1) != b'\n':
                data = b'\n' + data
        while data:  # once, unless the disk fills up
            data = data[os.write(descriptor, data) :]
        reach_point(f'{path.name}: written')
        os.fsync(descriptor)
        reach_point(f'{path.name}: synced')
    finally:
        os.close(descriptor)


def _to_line(fields: dict[str, Any]) -> bytes:
    body = json.dumps(fields, allow_nan=False)
    return json.dumps({**fields, 'check': _digest(body)}, allow_nan=False).encode() + b'\n'


def _parse_line(line: bytes) -> dict[str, Any]:
    """Read what :func:`_to_line` wrote.

    Raises:
        ValueError: if it was something else.
    """
    fields = read_strict_json(line)
    fields.pop('check', None)
    kinds = {name: type(value) for name, value in fields.items()}
    if kinds not in (_SCORE, _DESCRIPTION) or _to_line(fields) != line + b'\n':
        raise DamagedFileError(f'`line` must be what was written, but got {shorten(line)}; it is damaged.')
    return fields


def _check_context(context: Mapping[str, str]) -> dict[str, str]:
    fields = dict(context)
    if not fields or not all(isinstance(text, str) for item in fields.items() for text in item):
        raise ValueError(f'`context` must hold strings, at least one, but got {shorten(fields)}.')
    try:
        read_strict_json(_to_line({'context': _digest_context(fields), 'fields': fields}))
    except ValueError as err:
        raise ValueError(f'`context` must fit a line of strict JSON, but got {shorten(fields)}; {err}') from err
    return fields


def _digest_context(fields: dict[str, str]) -> str:
    return _digest(json.dumps(fields, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LETTERS]


def _differing(fields: dict[str, str], others: dict[str, str]) -> set[str]:
    return {name for name in fields.keys() | others.keys() if fields.get(name) != others.get(name)}


def _spell_lines(numbers: list[int]) -> str:
    shown = ', '.join(map(str, numbers[:_SHOWN_LINES])) + (', ...' if len(numbers) > _SHOWN_LINES else '')
    return f'{_spell(len(numbers), "line")} ({shown})'


def _spell(count: int, noun: str) -> str:
    return f'{count} {noun}' if count == 1 else f'{count} {noun}s'


def _warn(text: str) -> None:
    print_log(text, logger='current', level=logging.WARNING)

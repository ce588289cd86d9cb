"""The score of every scheme of a small network, read from a table instead of computed."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..structures import ConnectionScheme
from ..structures.shorten import shorten
from .results import rank_scheme
from .reward import Reward

NEEDED_COLUMNS = ('scheme', 'connected', 'metric')


class AtlasError(ValueError):
    """A table of scores that cannot be used."""


class Atlas:
    """A metric for every scheme of one layout; called with a scheme it returns the metric, as a search wants it.

    Args:
        metrics: finite, of each of the 2^n schemes of n connections.

    Raises: AtlasError if a scheme is missing or of another layout, or a metric is not finite.

    >>> atlas = Atlas({ConnectionScheme.from_string(text): len(text) for text in ('0', '1')})
    >>> atlas(ConnectionScheme.from_string('1'))
    1
    """

    def __init__(self, metrics: Mapping[ConnectionScheme, float]):
        self._metrics = dict(metrics)
        if not self._metrics:
            raise AtlasError('`metrics` must hold every scheme of a layout, but got none.')
        self.blocks_per_stage = next(iter(self._metrics)).blocks_per_stage
        for scheme, metric in self._metrics.items():
            _require_layout(scheme, self.blocks_per_stage)
            _require_finite(scheme, metric)
        self._require_all()

    @classmethod
    def load(cls, path: str | os.PathLike) -> Atlas:
        """Read the ``atlas.csv`` of a search that has scored every scheme.

        Raises:
            AtlasError: if the file cannot be read, is no such table, or lacks a scheme or holds one twice.
        """
        try:
            metrics: dict[ConnectionScheme, float] = {}
            for scheme, metric in _read_rows(_read_text(Path(path))):
                if scheme in metrics:
                    raise AtlasError(f"it must hold each scheme once, but got '{scheme}' twice.")
                metrics[scheme] = metric
            return cls(metrics)
        except AtlasError as err:
            raise AtlasError(f'{os.fspath(path)!r} is not a usable atlas: {err}') from err

    def __call__(self, scheme: ConnectionScheme) -> float:
        return self._metrics[scheme]

    def __len__(self) -> int:
        return len(self._metrics)

    def best(self, reward: Reward, min_connected: int = 0) -> tuple[ConnectionScheme, float]:
        """The scheme that a search can find at best, and its reward; ties are broken as a search breaks them.

        Args:
            reward: makes a reward of a metric and a mask.
            min_connected: schemes with fewer connections do not count.

        Raises:
            ValueError: if no scheme has so many.
        """
        num_sites = sum(self.blocks_per_stage)
        if min_connected > num_sites:
            raise ValueError(f'`min_connected` must be at most the {num_sites} connections, but got {min_connected}.')
        rewards = {
            scheme: reward(metric, scheme.mask)
            for scheme, metric in self._metrics.items()
            if scheme.num_connected >= min_connected
        }
        first = min(rewards, key=lambda scheme: rank_scheme(scheme, rewards[scheme]))
        return first, rewards[first]

    def _require_all(self) -> None:
        num_sites = sum(self.blocks_per_stage)
        if len(self._metrics) == 2**num_sites:
            return
        everything = ConnectionScheme.every(self.blocks_per_stage)
        missing = next(scheme for scheme in everything if scheme not in self._metrics)
        raise AtlasError(
            f'`metrics` must hold all 2^{num_sites} schemes of {self.blocks_per_stage} blocks per stage, but got '
            f"{len(self._metrics)}, without '{missing}'; let --score-all write it anew."
        )


def _read_text(path: Path) -> str:
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, ValueError) as err:
        raise AtlasError(f'it must be a readable file of text, but got {err}.') from err
    if not text.endswith('\n'):
        raise AtlasError(f'it must end with a whole line, but got {shorten(text[-40:])}.')
    return text


def _read_rows(text: str) -> Iterator[tuple[ConnectionScheme, float]]:
    rows = enumerate(_parse(text), 1)
    _, header = next(rows)
    for name in NEEDED_COLUMNS:
        if header.count(name) != 1:
            raise AtlasError(f'its first line must name {name!r} once, but got {shorten(",".join(header))}.')
    for number, row in rows:
        if len(row) != len(header):
            raise AtlasError(f'line {number} must have {len(header)} cells, but got {shorten(row)}.')
        cells = dict(zip(header, row, strict=True))
        yield _read_row(number, *(cells[name] for name in NEEDED_COLUMNS))


def _parse(text: str) -> Iterable[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text), strict=True)
    except csv.Error as err:
        raise AtlasError(f'it must be a table of comma-separated cells, but got {err}.') from err


def _read_row(number: int, bits: str, connected: str, metric: str) -> tuple[ConnectionScheme, float]:
    try:
        scheme, value = ConnectionScheme.from_string(bits), float(metric)
    except ValueError as err:
        found = f'{shorten(bits)} and {shorten(metric)}'
        raise AtlasError(f'line {number} must hold a scheme and a number, but got {found}.') from err
    if connected != str(scheme.num_connected):
        raise AtlasError(f"line {number} must count the connections of '{scheme}', but got {shorten(connected)}.")
    return scheme, value


def _require_layout(scheme: ConnectionScheme, blocks_per_stage: tuple[int, ...]) -> None:
    if scheme.blocks_per_stage != blocks_per_stage:
        raise AtlasError(f"`metrics` must hold schemes of {blocks_per_stage} blocks per stage, but got '{scheme}'.")


def _require_finite(scheme: ConnectionScheme, metric: float) -> None:
    if not math.isfinite(metric):
        raise AtlasError(f"`metrics` must be finite, but got {metric} for '{scheme}'.")

"""Read a work directory that nobody vouches for: what is there, what is not, and what is damaged."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ..structures import ConnectionScheme, DamagedFileError, Ticket
from ..structures.shorten import shorten
from . import records

MAX_BYTES = 64 * 2**20
Model = TypeVar('Model', bound=records.Record)


class WorkFiles:
    """The files of one work directory, each read once and when asked for.

    A property is None, or empty, where there is no such file, and raises DamagedFileError where its content is not what
    this program writes. The last line of a log counts only if it is complete.

    Args:
        directory: the work directory.

    Raises: ValueError if it is no folder.
    """

    def __init__(self, directory: str | os.PathLike):
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise ValueError(f'`work_dir` must be a folder, but got {str(directory)!r}; tools/search.py makes one.')

    def read_bytes(self, name: str, max_bytes: int = MAX_BYTES) -> bytes | None:
        """The content of a file; None if there is none.

        Raises:
            DamagedFileError: if it is no regular file, too large or unreadable.
        """
        path = self.directory / name
        try:
            if not path.exists():
                return None
            if not path.is_file() or path.stat().st_size > max_bytes:
                raise DamagedFileError(f'`{name}` must be a file of at most {max_bytes} bytes, but got something else.')
            return path.read_bytes()
        except OSError as err:
            raise DamagedFileError(f'`{name}` must be a readable file, but got {err.strerror or err}.') from err

    def read(self, name: str, model: type[Model]) -> Model | None:
        """One JSON object.

        Raises:
            DamagedFileError: if it is something else.
        """
        data = self.read_bytes(name)
        return None if data is None else _parse(data, model, name)

    def read_lines(self, name: str, model: type[Model]) -> tuple[Model, ...]:
        """One JSON object per line.

        Raises:
            DamagedFileError: if a complete line is something else.
        """
        data = self.read_bytes(name) or b''
        lines = data[: data.rfind(b'\n') + 1].splitlines()
        return tuple(_parse(line, model, f'{name}, line {number}') for number, line in enumerate(lines, 1))

    # -- one property per file -----------------------------------------------------------------------------------------

    @cached_property
    def ticket(self) -> Ticket | None:
        """``ticket.json``."""
        path = self.directory / 'ticket.json'
        return Ticket.load(path) if os.path.lexists(path) else None

    @cached_property
    def scores(self) -> tuple[records.Score, ...]:
        """``search.jsonl``."""
        scores = self.read_lines('search.jsonl', records.Score)
        _check_layouts('search.jsonl', [score.scheme for score in scores])
        return scores

    @cached_property
    def timings(self) -> tuple[records.Timing, ...]:
        """``timing.jsonl``."""
        return self.read_lines('timing.jsonl', records.Timing)

    @cached_property
    def results(self) -> records.Results | None:
        """``results.json``."""
        return self.read('results.json', records.Results)

    @cached_property
    def costs(self) -> dict[str, records.Costs.Cost]:
        """``costs.json``, by name."""
        costs = self.read('costs.json', records.Costs)
        return {} if costs is None else costs.costs

    @cached_property
    def latency(self) -> records.Latency | None:
        """``latency.json``."""
        return self.read('latency.json', records.Latency)

    @cached_property
    def verdict(self) -> records.Verdict | None:
        """``verdict.json``."""
        return self.read('verdict.json', records.Verdict)

    @cached_property
    def effects(self) -> records.Effects | None:
        """``effects.json``; every bit in it is one of its scheme."""
        effects = self.read('effects.json', records.Effects)
        if effects is not None:
            bits = [flip.bit for flip in effects.flips] + [each.bit for each in effects.shapley]
            bits += [bit for pair in effects.pairs for bit in pair.bits]
            if bits and max(bits) >= effects.scheme.num_connections:
                raise DamagedFileError(
                    f'`effects.json` must hold bits below {effects.scheme.num_connections}, but got {max(bits)}.'
                )
        return effects

    @cached_property
    def front(self) -> records.Front | None:
        """``front.json``."""
        return self.read('front.json', records.Front)

    @cached_property
    def comparison(self) -> records.Comparison | None:
        """``comparison.json``."""
        return self.read('comparison.json', records.Comparison)

    @cached_property
    def ratios(self) -> records.Ratios | None:
        """``ratios.json``."""
        return self.read('ratios.json', records.Ratios)

    @cached_property
    def fidelity(self) -> records.Fidelity | None:
        """``fidelity.json``."""
        return self.read('fidelity.json', records.Fidelity)

    @cached_property
    def seeds(self) -> records.Seeds | None:
        """``seeds.json``."""
        return self.read('seeds.json', records.Seeds)

    @cached_property
    def atlas_rewards(self) -> dict[ConnectionScheme, float]:
        """``atlas.csv``: the reward of every scheme of a small network."""
        data = self.read_bytes('atlas.csv')
        if data is None:
            return {}
        try:
            rows = list(csv.DictReader(io.StringIO(data.decode())))
            rewards = {ConnectionScheme.from_string(row['scheme']): float(row['reward']) for row in rows}
        except (ValueError, KeyError, TypeError, csv.Error) as err:
            raise DamagedFileError(f'`atlas.csv` must hold a reward per scheme, but got {shorten(str(err))}.') from err
        if not all(map(math.isfinite, rewards.values())):
            raise DamagedFileError('`atlas.csv` must hold finite rewards, but got one that is not.')
        return rewards

    # -- what several files know ---------------------------------------------------------------------------------------

    @cached_property
    def scheme(self) -> ConnectionScheme | None:
        """The ticket's scheme, from whichever undamaged file names it first."""
        return first_undamaged(
            lambda: None if self.ticket is None else self.ticket.scheme,
            lambda: None if self.verdict is None else self.verdict.ticket,
        )

    @cached_property
    def layout(self) -> tuple[int, ...] | None:
        """Blocks per stage."""
        scheme = self.scheme or first_undamaged(lambda: self.scores[0].scheme if self.scores else None)
        return None if scheme is None else scheme.blocks_per_stage

    @cached_property
    def metric(self) -> str:
        """Name of the metric; 'metric' where no file says."""
        found = first_undamaged(
            lambda: None if self.results is None else self.results.metric,
            lambda: None if self.verdict is None else self.verdict.metric,
        )
        return found or 'metric'

    def require_layout(self, name: str, *schemes: ConnectionScheme) -> None:
        """Check that schemes are of the searched network.

        Raises:
            DamagedFileError: if a file is another network's.
        """
        for scheme in schemes:
            if self.layout is not None and scheme.blocks_per_stage != self.layout:
                raise DamagedFileError(
                    f'`{name}` must hold schemes of {self.layout} blocks per stage, but got {shorten(str(scheme))}; '
                    'it belongs to another search.'
                )

    def require_length(self, name: str, values: tuple) -> None:
        """Check that there is one value per block.

        Raises:
            DamagedFileError: if there is not.
        """
        if self.layout is not None and len(values) != sum(self.layout):
            raise DamagedFileError(
                f'`{name}` must hold {sum(self.layout)} values, one per block, but got {len(values)}; '
                'it belongs to another search.'
            )


Found = TypeVar('Found')


def first_undamaged(*sources: Callable[[], Found | None]) -> Found | None:
    """What the first source has that is neither missing nor damaged; what is damaged is for its own section to say."""
    for source in sources:
        try:
            found = source()
        except (ValueError, OSError):
            continue
        if found is not None:
            return found
    return None


def _parse(data: bytes, model: type[Model], name: str) -> Model:
    try:
        return model.model_validate_json(data)
    except ValidationError as err:
        first = err.errors(include_url=False, include_context=False)[0]
        place = '.'.join(map(str, first['loc']))
        raise DamagedFileError(
            f'`{name}` must be a file of this program, but got {shorten(first["input"])}'
            f'{f" for {place}" if place else ""} ({first["msg"]}).'
        ) from err


def _check_layouts(name: str, schemes: list[ConnectionScheme]) -> None:
    layouts = {scheme.blocks_per_stage for scheme in schemes}
    if len(layouts) > 1:
        raise DamagedFileError(f'`{name}` must hold schemes of one network, but got {sorted(layouts)}.')

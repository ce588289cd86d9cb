"""Choose one scheme of a finished search by what it may cost and what it must reach."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.table import Table

from ..registry import suggest
from ..search import Candidates, Evaluation, best_per_size, parse_bound, read_candidates
from ..search.front_files import TICKET_FOLDER
from ..structures import Ticket
from ..structures.shorten import shorten
from ..visualization import to_text

PICKED_FILE = 'picked.json'
BEST = 'best'
METRIC = 'metric'
CONDITIONS = {
    'max-latency': 'latency',
    'max-params': 'params',
    'max-macs': 'macs',
    'max-connected': 'num_connected',
    'min-metric': METRIC,
}
_UNITS = {'latency': ' ms'}


@dataclass(frozen=True)
class Condition:
    """A bound on one of a candidate's numbers.

    Attributes:
        text: as it was given.
        name: of the number: a cost, or 'metric', the only one that is bounded from below.
        bound: in base units.
    """

    text: str
    name: str
    bound: float

    def holds(self, values: np.ndarray) -> np.ndarray:
        """For which values it holds."""
        slack = 1e-9 * abs(self.bound)
        return values >= self.bound - slack if self.name == METRIC else values <= self.bound + slack


def pick(work_dir: str | Path, conditions: Sequence[str], out: str | Path | None = None) -> str:
    """Write the ticket of the candidate with the highest reward that keeps all conditions; return what there is as text.

    Args:
        work_dir: of a finished search.
        conditions: 'best' or like 'max-latency=+5%', 'max-params=26M', 'max-macs=4.2G', 'max-connected=6', 'min-metric=80';
            none only shows what there is.
        out: path of the ticket; None takes ``picked.json`` in the work directory.

    Raises:
        ValueError: if there is no finished search, a condition is wrong, or no candidate keeps them all.
    """
    directory = Path(work_dir)
    candidates = read_candidates(directory)
    parsed = [parse_condition(text, candidates) for text in conditions if text != BEST]
    picked = find_pick(candidates, parsed) if conditions else None
    text = to_text(_draw(candidates, picked))
    if picked is None:
        return text
    path = Path(out) if out else directory / PICKED_FILE
    make_ticket(candidates, picked, directory).save(path)
    return f"{text}\nPicked '{picked.scheme}' for {' and '.join(conditions)}.\nTicket: {path}"


def split_condition(text: str) -> tuple[str, str]:
    """The two sides of a condition.

    Raises:
        ValueError: if it has another form.
    """
    key, _, value = text.partition('=')
    if key not in CONDITIONS or not value:
        forms = [f'{name}=...' for name in CONDITIONS]
        hint = suggest(f'{key}=...', forms, 'see --help.')
        raise ValueError(f'`pick` must be of {", ".join([BEST, *forms])}, but got {shorten(text)}; {hint}')
    return key, value


def parse_condition(text: str, candidates: Candidates) -> Condition:
    """Read a condition like 'max-latency=+5%'.

    Raises:
        ValueError: if it is none, or about a cost that nobody measured.
    """
    key, value = split_condition(text)
    name = CONDITIONS[key]
    if name == METRIC:
        if not re.fullmatch(r'-?\d+(\.\d+)?', value):
            raise ValueError(f'`pick` must give min-metric a number, but got {shorten(text)}.')
        return Condition(text, name, float(value))
    if name not in candidates.costs:
        raise ValueError(
            f'`pick` must bound a cost that was counted or measured, but got {shorten(text)}; '
            f'give the search a latency table, a weight or a limit of latency to have it measured.'
        )
    return Condition(text, name, parse_bound(f'pick {key}', value, candidates.costs[name].bare))


def find_pick(candidates: Candidates, conditions: Sequence[Condition]) -> Evaluation:
    """The candidate with the highest reward that keeps all conditions.

    Raises:
        ValueError: with what there is, if none does.
    """
    values = {each.name: _values(candidates, each.name) for each in conditions}
    kept = [each.holds(values[each.name]) for each in conditions]
    fits = np.logical_and.reduce([np.ones(len(candidates.evaluations), dtype=bool), *kept])
    if not fits.any():
        texts = ' and '.join(each.text for each in conditions) or BEST
        hints = _tell_what_there_is(conditions, values, kept) if candidates.evaluations else 'lower `min_connected`'
        raise ValueError(
            f'`pick` must leave one of the {len(candidates.evaluations)} schemes that were scored and are allowed, '
            f'but got {texts}; {hints}.'
        )
    return min((e for e, fit in zip(candidates.evaluations, fits, strict=True) if fit), key=lambda each: each.rank)


def make_ticket(candidates: Candidates, picked: Evaluation, directory: Path) -> Ticket:
    """The ticket of a candidate, like those that the search has written."""
    size = best_per_size(candidates.evaluations)[0].scheme.num_connected
    fields = dict(Ticket.load(directory / TICKET_FOLDER / f'connections_{size:02d}.json'))
    facts = candidates.describe(picked)
    metrics = {candidates.metric: cast(float, picked.metric), 'reward': cast(float, picked.reward)}
    return Ticket(
        **{**fields, 'scheme': picked.scheme, 'metrics': metrics, 'params': facts['params'], 'macs': facts['macs']}
    )


def _values(candidates: Candidates, name: str) -> np.ndarray:
    if name == METRIC:
        return np.array([each.metric for each in candidates.evaluations], dtype=float)
    return candidates.cost(name)


def _tell_what_there_is(
    conditions: Sequence[Condition], values: Mapping[str, np.ndarray], kept: Sequence[np.ndarray]
) -> str:
    """For each condition, what can be had with the others kept, or at all where they cannot be kept themselves."""
    hints = []
    for number, each in enumerate(conditions):
        others = [mask for i, mask in enumerate(kept) if i != number]
        fits = np.logical_and.reduce([np.ones(len(values[each.name]), dtype=bool), *others])
        found = values[each.name][fits] if fits.any() else values[each.name]
        within = ' with the others kept' if others and fits.any() else ''
        end = found.max() if each.name == METRIC else found.min()
        word = 'at most' if each.name == METRIC else 'at least'
        digits = f'{end:,.0f}' if float(end).is_integer() else f'{end:.6g}'
        hints.append(f'{each.name} is {word} {digits}{_UNITS.get(each.name, "")}{within}')
    return ', '.join(hints)


def _draw(candidates: Candidates, picked: Evaluation | None) -> Table:
    table = Table(
        title=f'Best of every size, of {len(candidates.evaluations)} schemes (* no scheme beats it in both metric and '
        f'{candidates.front_cost})',
        title_justify='left',
    )
    table.add_column('')
    table.add_column('scheme', no_wrap=True)
    for header in ('on', f'supernet {candidates.metric}', 'reward', 'params', 'MACs', 'latency ms'):
        table.add_column(header, justify='right')
    on_front = {each.scheme for each in candidates.front}
    best = best_per_size(candidates.evaluations)
    extra = [picked] if picked and picked not in best else []
    for each in sorted([*best, *extra], key=lambda e: (e.scheme.num_connected, e.rank)):
        name = 'picked ' if picked and each.scheme == picked.scheme else ''
        row = candidates.describe(each)
        table.add_row(f'{name}{"*" if each.scheme in on_front else ""}', row['scheme'], *_format(row))
    return table


def _format(row: dict[str, Any]) -> list[str]:
    return [
        str(row['num_connected']),
        f'{row["metric"]:.2f}',
        f'{row["reward"]:.2f}',
        '-' if row['params'] is None else f'{row["params"]:,}',
        '-' if row['macs'] is None else f'{row["macs"] / 1e6:,.2f} M',
        '-' if row['latency_ms'] is None else f'{row["latency_ms"]:.2f}',
    ]

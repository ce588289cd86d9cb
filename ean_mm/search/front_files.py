"""The files that offer a choice after a search: a ticket for every size, the front, and what a further pick needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..structures import Ticket, write_atomically
from ..structures.shorten import shorten
from ..structures.strict_json import read_strict_json
from .added_costs import AddedCosts
from .front import Candidates, best_per_size
from .limits import Limits
from .record import LOG_FILE
from .results import Evaluation
from .space import FREE, SearchSpace

FRONT_FILE = 'front.json'
COSTS_FILE = 'costs.json'
TICKET_FOLDER = 'tickets'
FORMAT: Final = 'ean_mm.costs'
VERSION: Final = 1
_PATTERNS = ('connections_*.json', 'front_*.json')


def write_front(candidates: Candidates, make_ticket: Callable[[Evaluation], Ticket], directory: Path) -> None:
    """Write a ticket for the best scheme of every size and for every scheme of the front, and say which is which.

    Writes: ``tickets/connections_04.json``, ``tickets/front_01.json`` (for schemes of the front that are no size's best),
    ``front.json`` and ``costs.json``. Tickets of an earlier call that are no more are removed.

    Args:
        candidates: what the search offers.
        make_ticket: makes a ticket of an evaluation.
        directory: the work directory.
    """
    folder = directory / TICKET_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    best = best_per_size(candidates.evaluations)
    names = {each.scheme: f'connections_{each.scheme.num_connected:02d}.json' for each in best}
    others = [each for each in candidates.front if each.scheme not in names]
    names |= {each.scheme: f'front_{number:02d}.json' for number, each in enumerate(others, 1)}
    for each in [*best, *others]:
        make_ticket(each).save(folder / names[each.scheme])
    stale = {path for pattern in _PATTERNS for path in folder.glob(pattern)}
    for path in stale - {folder / name for name in names.values()}:
        path.unlink()

    def describe(each: Evaluation) -> dict[str, Any]:
        return {**candidates.describe(each), 'ticket': f'{TICKET_FOLDER}/{names[each.scheme]}'}

    _write(directory / COSTS_FILE, _describe_space(candidates))
    _write(
        directory / FRONT_FILE,
        dict(
            metric=candidates.metric,
            best_per_size=[describe(each) for each in best],
            front_cost=candidates.front_cost,
            front=[str(each.scheme) for each in candidates.front],
            front_points=[describe(each) for each in candidates.front],
        ),
    )


def read_candidates(directory: Path) -> Candidates:
    """What the search of a work directory offers, from ``costs.json`` and ``search.jsonl``.

    Raises:
        ValueError: if they are missing or damaged.
    """
    try:
        fields = read_strict_json((directory / COSTS_FILE).read_bytes())
        lines = (directory / LOG_FILE).read_bytes().splitlines(keepends=True)
        return _read_space(fields, [Evaluation.from_line(line) for line in lines])
    except (OSError, ValueError) as err:
        raise ValueError(
            f'`work_dir` must hold a finished search, but got {str(directory)!r}: {err} Run tools/search.py first.'
        ) from err


def _describe_space(candidates: Candidates) -> dict[str, Any]:
    space = candidates.space
    bits = iter([FREE if is_free else '01'[space.fixed[bit]] for bit, is_free in enumerate(space.is_free)])
    return dict(
        format=FORMAT,
        version=VERSION,
        metric=candidates.metric,
        blocks_per_stage=list(space.blocks_per_stage),
        fixed=' '.join(''.join(next(bits) for _ in range(count)) for count in space.blocks_per_stage),
        min_connected=space.min_connected,
        limits=getattr(space.limits, 'bounds', {}),
        costs=candidates.costs.to_dict(),
    )


def _read_space(fields: dict[str, Any], scored: list[Evaluation]) -> Candidates:
    for name, wanted in (('format', FORMAT), ('version', VERSION)):
        if fields.get(name) != wanted or isinstance(fields[name], bool):
            raise ValueError(f'`{name}` must be {wanted!r}, but got {shorten(fields.get(name))}.')
    kinds = dict(metric=str, blocks_per_stage=list, fixed=str, min_connected=int, limits=dict, costs=dict)
    for name, kind in kinds.items():
        if not isinstance(fields.get(name), kind):
            raise ValueError(f'`{name}` must be of type {kind.__name__}, but got {shorten(fields.get(name))}.')
    costs = AddedCosts.from_dict(sum(fields['blocks_per_stage']), fields['costs'])
    limits = Limits(fields['limits'], costs) if fields['limits'] else None
    space = SearchSpace(fields['blocks_per_stage'], fields['fixed'], fields['min_connected'], limits)
    return Candidates(fields['metric'], space, costs, scored)


def _write(path: Path, fields: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(fields, indent=1, allow_nan=False) + '\n').encode())

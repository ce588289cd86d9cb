"""Train the ticket, and what it is to be compared with, from scratch with one recipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from ..analysis import Interval, paired_difference, t_interval
from ..hooks.page import write_page
from ..hooks.retrain_config import RETRAIN_FILE
from ..structures import ConnectionScheme, write_atomically
from ..visualization import ComparisonRow, draw_comparison, format_comparison
from .finished_search import NAMES, TICKET_FILE, FinishedSearch, draw_other, find_scheme, read_name
from .scheme_facts import SchemeFacts
from .trainings import Announce, Training, log_line, require_same_recipe, run_trainings

COMPARISON_FILE = 'comparison.json'
FIGURE_FILE = 'comparison.png'
_WORDS = {
    'better': 'better than',
    'worse': 'worse than',
    'not distinguishable': 'not distinguishable from',
    'unknown': 'of unknown order with',
}


def compare(directory: Path, names: Sequence[str], seeds: Sequence[int], announce: Announce = log_line) -> str:
    """Train each named scheme with each seed, and return the table as text.

    Runs in ``directory/compare/<name>_<seed>``; one that has finished is not run again, one that was interrupted
    resumes from its last epoch. Leaves ``comparison.json`` and ``comparison.png`` in ``directory``.

    Args:
        directory: work directory of a finished search.
        names: of ``NAMES``, or schemes as bits; 'random' has as many connections as the ticket and is another one for
            each seed. Others of ``NAMES`` are in the table as far as they have been trained.
        seeds: of the training.
        announce: called with lines about what is to be done and the time left.

    Raises:
        ValueError: if the directory holds no finished search, a name is none, or a folder holds another training.
    """
    search = FinishedSearch.open(directory)
    chosen = [read_name(name, search) for name in names]
    rows = {name: _pick_schemes(name, search, seeds) for name in dict.fromkeys((*NAMES, *chosen))}
    rows = {name: schemes for name, schemes in rows.items() if schemes}
    if 'random' in chosen and 'random' not in rows:
        announce(f"No random scheme: '{search.ticket}' is the only one of its size.")
    trainings = {name: [search.plan(name, rows[name][seed], seed) for seed in seeds] for name in rows}
    for training in chain.from_iterable(trainings.values()):
        require_same_recipe(training)
    facts = search.measure(scheme for schemes in rows.values() for scheme in schemes.values())
    wanted = [training for name in rows if name in chosen for training in trainings[name]]
    run_trainings(sorted(wanted, key=lambda training: seeds.index(training.seed)), facts.estimate_seconds, announce)
    done = {name: read_values(row, search.metric) for name, row in trainings.items()}
    table = [_make_row(name, rows[name], done[name], facts, search) for name in rows]
    return '\n'.join(_conclude(search, table, done, seeds))


def read_values(trainings: Iterable[Training], metric: str) -> dict[int, float]:
    """The test metric by seed, of those that have finished."""
    values = {training.seed: training.read(metric) for training in trainings}
    return {seed: value for seed, value in values.items() if value is not None}


def _pick_schemes(name: str, search: FinishedSearch, seeds: Sequence[int]) -> dict[int, ConnectionScheme]:
    """The scheme of each seed; nothing where there is no such scheme."""
    if name != 'random':
        return dict.fromkeys(seeds, find_scheme(name, search))
    drawn = {seed: draw_other(search.ticket, seed) for seed in seeds}
    return {seed: scheme for seed, scheme in drawn.items() if scheme is not None}


def _make_row(
    name: str,
    schemes: Mapping[int, ConnectionScheme],
    values: Mapping[int, float],
    facts: SchemeFacts,
    search: FinishedSearch,
) -> ComparisonRow:
    distinct = list(dict.fromkeys(schemes.values()))
    shown = list(schemes.values()) if name == 'random' else distinct
    interval = t_interval(list(values.values())) if values else None
    return ComparisonRow(
        name=name,
        schemes=tuple(map(str, shown)),
        seeds=tuple(values),
        values=tuple(values.values()),
        mean=None if interval is None else interval.mean,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        supernet=search.supernet_score(distinct[0]) if len(distinct) == 1 else None,
        **facts.describe(schemes.values()),
    )


# -- what it means -----------------------------------------------------------------------------------------------------


def _conclude(
    search: FinishedSearch, rows: Sequence[ComparisonRow], done: Mapping[str, Mapping[int, float]], seeds: Sequence[int]
) -> list[str]:
    """Write the files; return the lines that end a comparison."""
    others = [row.name for row in rows if row.name != 'ticket']
    pairs = {other: paired_difference(done['ticket'], done[other]) for other in others}
    differences = {other: interval for other, interval in pairs.items() if interval is not None}
    sentence = spell_differences('The ticket', differences)
    trained = [row for row in rows if row.values]
    facts = dict(
        metric=search.metric,
        seeds=list(seeds),
        rows=[row.to_dict() for row in trained],
        differences=[
            dict(name=f'ticket - {other}', mean=each.mean, low=each.low, high=each.high, num_seeds=each.num)
            for other, each in differences.items()
        ],
        sentence=sentence,
    )
    content = json.dumps(facts, indent=2, allow_nan=False) + '\n'
    write_atomically(search.directory / COMPARISON_FILE, content.encode())
    lines = [format_comparison(rows, search.metric), *(_spell_difference(*item) for item in differences.items())]
    lines += [sentence, '']
    if trained:
        draw_comparison(trained, search.metric).savefig(search.directory / FIGURE_FILE, dpi=110)
        lines.append(f'Picture: {search.directory / FIGURE_FILE}')
    lines.append(f'Ticket:  {search.directory / TICKET_FILE}')
    lines.append(f'Next:    python tools/train.py {search.directory / RETRAIN_FILE}')
    return [*lines, *write_page(search.directory)]


def spell_differences(subject: str, differences: Mapping[str, Interval]) -> str:
    """Differences between a subject and others as one sentence in plain words.

    >>> spell_differences('The ticket', {'all': Interval(1.5, 1.0, 2.0, 3), 'none': Interval(0.1, -1.0, 1.2, 3)})
    'The ticket is better than all (by 1.50 ± 0.50); not distinguishable from none (+0.10 ± 1.10).'
    """
    if not differences:
        return 'Nothing to compare yet: train the ticket and others with the same seeds.'
    parts: dict[str, list[str]] = {verdict: [] for verdict in _WORDS}
    for name, interval in differences.items():
        parts[interval.verdict].append(f'{name} ({_spell_size(interval)})')
    text = '; '.join(f'{_WORDS[verdict]} {", ".join(names)}' for verdict, names in parts.items() if names)
    if any(interval.num > 1 for interval in differences.values()):
        return f'{subject} is {text}.'
    return f'{subject} is {text}. One seed tells little: name several (--seeds 0 1 2) for an interval.'


def _spell_size(interval: Interval) -> str:
    if interval.margin is None:
        return f'{interval.mean:+.2f}'
    if interval.verdict == 'not distinguishable':
        return f'{interval.mean:+.2f} ± {interval.margin:.2f}'
    return f'by {abs(interval.mean):.2f} ± {interval.margin:.2f}'


def _spell_difference(name: str, interval: Interval) -> str:
    text = f'ticket - {name}: {interval.mean:+.2f}'
    if interval.margin is None:
        return f'{text} (one seed)'
    return f'{text} ± {interval.margin:.2f} (95 % interval over {interval.num} paired seeds)'

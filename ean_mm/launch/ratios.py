"""Is sparse attention enough? Random schemes of every density, trained from scratch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis import t_interval
from ..hooks.page import write_page
from ..structures import ConnectionScheme, write_atomically
from ..structures.checks import require_number, require_whole
from ..visualization import RatioRow, TrainedScheme, draw_ratios, format_ratios
from .finished_search import FinishedSearch, name_scheme
from .scheme_facts import SchemeFacts
from .trainings import Announce, log_line, require_same_recipe, run_trainings

RATIOS_FILE = 'ratios.json'
FIGURE_FILE = 'ratios.png'


def study_ratios(
    directory: Path,
    ratios: Sequence[float],
    per_ratio: int,
    seeds: Sequence[int],
    scheme_seed: int = 0,
    announce: Announce = log_line,
) -> str:
    """Train random schemes of each connection ratio with each seed, beside the plain network and full attention.

    Runs in ``directory/compare/<bits>_<seed>``; one that has finished is not run again, one that was interrupted resumes.
    Leaves ``ratios.json`` and ``ratios.png`` in ``directory``.
    Source: arXiv:2207.07858, its pilot study. Differs: recipe, network and sharing are those of the search.

    Args:
        directory: work directory of a finished search.
        ratios: in [0, 1], each rounded to a number of connections; 0 and 1, of which there is one scheme each, are added.
        per_ratio: random schemes of each, fewer where there are fewer; more are the same and further ones.
        seeds: of the trainings.
        scheme_seed: of the choice of schemes.
        announce: called with lines about what is to be done and the time left.

    Returns:
        A table and what it means, as text.

    Raises:
        ValueError: if the directory holds no finished search, a number is out of range, or a folder holds another training.
    """
    search = FinishedSearch.open(directory)
    require_whole('per_ratio', per_ratio, 1)
    seeds = list(dict.fromkeys(seeds))
    chosen = choose_by_ratio(search.layout, ratios, per_ratio, scheme_seed)
    schemes = [scheme for row in chosen.values() for scheme in row]
    plans = {scheme: [search.plan(name_scheme(scheme, search), scheme, seed) for seed in seeds] for scheme in schemes}
    in_turn = [training for of_seed in zip(*plans.values(), strict=True) for training in of_seed]
    for training in in_turn:
        require_same_recipe(training)
    facts = search.measure(schemes)
    run_trainings(in_turn, facts.estimate_seconds, announce)
    values = {scheme: tuple(training.require(search.metric) for training in plans[scheme]) for scheme in schemes}
    rows = [_make_row(ratio, {scheme: values[scheme] for scheme in row}, facts) for ratio, row in chosen.items()]
    return _conclude(search, rows, per_ratio, seeds)


def choose_by_ratio(
    blocks_per_stage: Sequence[int], ratios: Sequence[float], per_ratio: int, seed: int
) -> dict[float, list[ConnectionScheme]]:
    """Distinct random schemes by connection ratio, in order; of ratios that come to the same size, the first one counts.

    Raises:
        ValueError: if a ratio is not in [0, 1].

    >>> {ratio: list(map(str, row)) for ratio, row in choose_by_ratio((1, 2), [0.3], 2, seed=0).items()}
    {0.0: ['0 00'], 0.3: ['1 00', '0 10'], 1.0: ['1 11']}
    """
    for ratio in ratios:
        require_number('ratios', ratio, 0, 1, rule='numbers from 0 to 1')
    total = sum(blocks_per_stage)
    sizes: dict[int, float] = {0: 0.0, total: 1.0}
    for ratio in ratios:
        sizes.setdefault(round(ratio * total), ratio)
    return {ratio: _draw(blocks_per_stage, size, per_ratio, seed) for size, ratio in sorted(sizes.items())}


def _draw(blocks_per_stage: Sequence[int], size: int, num_schemes: int, seed: int) -> list[ConnectionScheme]:
    total = sum(blocks_per_stage)
    generator = np.random.default_rng([seed, total, size])
    drawn: dict[ConnectionScheme, None] = {}
    while len(drawn) < min(num_schemes, comb(total, size)):
        mask = generator.permutation(np.arange(total) < size)
        drawn[ConnectionScheme.from_mask(mask, blocks_per_stage)] = None
    return list(drawn)


def _make_row(ratio: float, values: dict[ConnectionScheme, tuple[float, ...]], facts: SchemeFacts) -> RatioRow:
    schemes = tuple(_describe(scheme, trained, facts) for scheme, trained in values.items())
    means = [scheme.mean for scheme in schemes]
    interval = t_interval(means if len(means) > 1 else schemes[0].values)
    num_connected = next(iter(values)).num_connected
    return RatioRow(ratio, num_connected, schemes, interval.mean, interval.low, interval.high)


def _describe(scheme: ConnectionScheme, values: tuple[float, ...], facts: SchemeFacts) -> TrainedScheme:
    cost: dict[str, Any] = facts.describe([scheme])
    return TrainedScheme(str(scheme), values, cost['params'], cost['macs'], cost['latency_ms'])


def _conclude(search: FinishedSearch, rows: Sequence[RatioRow], per_ratio: int, seeds: Sequence[int]) -> str:
    """Write the files; return the text that ends it."""
    sentence = spell_ratios(rows, len(seeds))
    facts = dict(
        metric=search.metric,
        seeds=list(seeds),
        per_ratio=per_ratio,
        rows=[row.to_dict() for row in rows],
        sentence=sentence,
    )
    content = json.dumps(facts, indent=2, allow_nan=False) + '\n'
    write_atomically(search.directory / RATIOS_FILE, content.encode())
    draw_ratios(rows, search.metric).savefig(search.directory / FIGURE_FILE, dpi=110)
    return '\n'.join(
        [
            format_ratios(rows, search.metric),
            sentence,
            f'Picture: {search.directory / FIGURE_FILE}',
            *write_page(search.directory),
        ]
    )


def spell_ratios(rows: Sequence[RatioRow], num_seeds: int) -> str:
    """How sparse schemes do against both ends, in plain words.

    Args:
        rows: by ratio, the plain network first and full attention last.
        num_seeds: of each scheme.
    """
    plain, *between, full = rows
    sparse = [scheme for row in between for scheme in row.schemes]
    if not sparse:
        return 'No ratio between 0 and 1 was trained.'
    above = sum(scheme.mean > full.mean for scheme in sparse)
    below = sum(scheme.mean < plain.mean for scheme in sparse)
    seeds = 'one seed, which tells little' if num_seeds == 1 else f'means of {num_seeds} seeds'
    return (
        f'Of {len(sparse)} sparse schemes {above} are above full attention ({full.mean:.2f}) and {below} below the plain '
        f'network ({plain.mean:.2f}); {seeds}.'
    )

"""What regret.py prints: a table of regrets, and what was to be reached beside what was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from rich.table import Table

from ean_mm.visualization import to_text


class Run(Protocol):
    """A search, as far as tables look at it."""

    regrets: np.ndarray
    num_proposals: int
    seconds: float

    def after(self, count: int) -> float:
        """Regret after so many distinct schemes."""


Runs = Mapping[str, Sequence[Run]]


def median_after(runs: Sequence[Run], count: int) -> float:
    """Median regret over seeds after so many distinct schemes."""
    return float(np.median([run.after(count) for run in runs]))


def draw_table(case: str, runs: Runs, marks: Sequence[int]) -> str:
    """A line per strategy: median regret at some numbers of distinct schemes, and at its end."""
    table = Table(title=f'{case}: median regret of {len(next(iter(runs.values())))} seeds', title_justify='left')
    table.add_column('strategy')
    for header in (*(f'after {mark}' for mark in marks), 'at the end', 'distinct', 'proposals', 's per search'):
        table.add_column(header, justify='right')
    for name, searches in runs.items():
        cells = [f'{median_after(searches, mark):.3f}' for mark in marks]
        cells.append(f'{float(np.median([run.regrets[-1] for run in searches])):.3f}')
        cells.append(f'{float(np.median([len(run.regrets) for run in searches])):g}')
        cells.append(f'{float(np.median([run.num_proposals for run in searches])):g}')
        cells.append(f'{float(np.median([run.seconds for run in searches])):.1f}')
        table.add_row(name, *cells)
    return to_text(table, width=140)


def describe_targets(case: str, runs: Runs, error: float | None) -> str:
    """What was to be reached and what was, a line each; nothing where our own strategy did not run.

    Args:
        case: a name.
        runs: by strategy.
        error: standard error of the reward of a table; None for a landscape.
    """
    if 'ours' not in runs:
        return ''
    lines = _landscape_targets(runs) if error is None else _table_targets(runs, error)
    return '\n'.join([f'Targets, {case}:', *(f'  {line}' for line in lines)])


def _table_targets(runs: Runs, error: float) -> list[str]:
    ours = runs['ours']
    lines = []
    if 'random' in runs:
        wanted = median_after(runs['random'], 64) / 4
        lines.append(_spell('median regret after 64, a quarter of random', median_after(ours, 64), wanted))
    others = [name for name in runs if name not in ('ours', 'random')]
    if others:
        best = min(others, key=lambda name: median_after(runs[name], 64))
        wanted = median_after(runs[best], 64) / 2
        lines.append(_spell(f'median regret after 64, half of {best}', median_after(ours, 64), wanted))
    solved = sum(run.after(160) < error or run.after(160) <= 0 for run in ours)
    verdict = 'reached' if solved >= 0.9 * len(ours) else 'not reached'
    lines.append(
        f'regret below one standard error ({error:.3f}) after 160: at least {0.9 * len(ours):g} of {len(ours)} seeds; '
        f'got {solved}: {verdict}'
    )
    return lines


def _landscape_targets(runs: Runs) -> list[str]:
    if 'paper' not in runs:
        return []
    ours, paper = runs['ours'], runs['paper']
    end = float(np.median([run.regrets[-1] for run in paper]))
    lines = []
    for name, counts in {
        'proposals': [run.num_proposals // 10 for run in paper],
        'distinct schemes': [len(run.regrets) // 10 for run in paper],
    }.items():
        counts = [max(count, 1) for count in counts]
        reached = [run.after(count) for run, count in zip(ours, counts, strict=True)]
        wins = sum(mine < run.regrets[-1] for mine, run in zip(reached, paper, strict=True))
        text = f"median regret after a tenth of paper's {name} (median {np.median(counts):g}), below paper's at its end"
        lines.append(f'{_spell(text, float(np.median(reached)), end)}; better in {wins} of {len(ours)} seeds')
    return lines


def _spell(what: str, got: float, wanted: float) -> str:
    verdict = 'reached' if got <= wanted else 'not reached'
    return f'{what}: at most {wanted:.3f}; got {got:.3f}: {verdict}'

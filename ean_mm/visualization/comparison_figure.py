"""Networks trained from scratch side by side: every seed, the mean, its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from .comparison_table import ComparisonRow


def draw_comparison(rows: Sequence[ComparisonRow], metric: str) -> Figure:
    """Draw a column per row: a dot for each seed, a bar at the mean, its interval where there is one.

    Args:
        rows: those with values, at least one.
        metric: name of the metric, for the axis.
    """
    figure = Figure(figsize=(max(4, 1.5 * len(rows)), 4), layout='constrained')
    axes = figure.subplots()
    for place, row in enumerate(rows):
        color = 'tab:red' if row.name == 'ticket' else 'tab:blue'
        beside = place + np.linspace(-0.12, 0.12, len(row.values)) if len(row.values) > 1 else [place]
        axes.plot(beside, row.values, 'o', color=color, alpha=0.5, markersize=5)
        if row.mean is not None:
            axes.plot([place - 0.25, place + 0.25], [row.mean] * 2, color=color, linewidth=2)
        if row.mean is not None and row.low is not None and row.high is not None:
            reach = [[row.mean - row.low], [row.high - row.mean]]
            axes.errorbar([place], [row.mean], reach, color=color, capsize=6, linewidth=1)
    axes.set_xticks(range(len(rows)), [f'{row.name}\n{row.num_connected} on' for row in rows])
    axes.set(ylabel=metric, title='Trained from scratch: seeds, mean, 95 % interval', xlim=(-0.5, len(rows) - 0.5))
    axes.grid(axis='y', alpha=0.3)
    return figure

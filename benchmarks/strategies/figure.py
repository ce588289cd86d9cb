"""The picture of regret.py: what each strategy still lacks, against how many schemes it has scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure


def draw_strategies(regrets: Mapping[str, Sequence[np.ndarray]], title: str, longest: int) -> Figure:
    """Draw the median regret over seeds against distinct schemes scored, a line per strategy, quartiles shaded.

    Args:
        regrets: by name of the strategy, for each seed, after each distinct scheme; a search that has ended keeps its last.
        title: of the picture.
        longest: how many schemes are shown at most.
    """
    figure = Figure(figsize=(8, 4.5), layout='constrained')
    axes = figure.subplots()
    for i, (name, curves) in enumerate(regrets.items()):
        length = min(longest, max(map(len, curves)))
        table = np.array([[curve[min(k, len(curve) - 1)] for k in range(length)] for curve in curves])
        is_drawn = np.isfinite(table).all(axis=0)
        order = np.arange(1, length + 1)[is_drawn]
        low, middle, high = np.quantile(table[:, is_drawn], (0.25, 0.5, 0.75), axis=0)
        axes.fill_between(order, low, high, step='post', color=f'C{i}', alpha=0.15, linewidth=0)
        axes.plot(order, middle, drawstyle='steps-post', color=f'C{i}', label=name)
    axes.set(xlabel='distinct schemes scored', ylabel='regret (points of reward)', title=title, ylim=(0, None))
    axes.legend(loc='upper right')
    return figure

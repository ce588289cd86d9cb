"""How fast searches close in on the best scheme there is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure


def draw_regrets(regrets: Sequence[Sequence[float]], title: str) -> Figure:
    """Draw regret against distinct schemes scored: the median over searches, and the quartiles around it.

    A search that has ended keeps its last regret. Where one has nothing to show yet (its regret is infinite), nothing is
    drawn.

    Args:
        regrets: of at least one search, after each distinct scheme that it scored; at least one each.
        title: of the picture.
    """
    length = max(len(curve) for curve in regrets)
    table = np.array([[*curve, *[curve[-1]] * (length - len(curve))] for curve in regrets], dtype=float)
    is_drawn = np.isfinite(table).all(axis=0)
    order = np.arange(1, length + 1)[is_drawn]
    low, middle, high = np.quantile(table[:, is_drawn], (0.25, 0.5, 0.75), axis=0)
    figure = Figure(figsize=(7, 4), layout='constrained')
    axes = figure.subplots()
    axes.fill_between(order, low, high, step='post', color='tab:red', alpha=0.2, linewidth=0, label='quartiles')
    axes.plot(order, middle, drawstyle='steps-post', color='tab:red', label=f'median of {len(regrets)} seeds')
    axes.set(xlabel='distinct schemes scored', ylabel='regret (reward)', title=title)
    axes.set_ylim(bottom=0)
    axes.legend(loc='upper right')
    return figure

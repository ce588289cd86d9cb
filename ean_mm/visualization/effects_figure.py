"""What each block is worth: in this ticket, and anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class EffectBar:
    """An effect on the metric, and where it probably lies.

    Attributes:
        effect: in units of the metric.
        low: lower end of the interval.
        high: upper end.
    """

    effect: float
    low: float
    high: float


def draw_effects(
    flips: Sequence[EffectBar],
    shapley: Sequence[EffectBar],
    blocks_per_stage: Sequence[int],
    ticket: np.ndarray,
    metric: str,
) -> Figure:
    """Draw two panels of bars, one per block: flipping its bit in the ticket, and its Shapley value. Lines part the stages.

    Args:
        flips: metric of the flipped scheme minus that of the ticket, for each block.
        shapley: Shapley value of each block.
        blocks_per_stage: layout of the blocks.
        ticket: mask of the ticket; its blocks are filled.
        metric: name of the metric, for the axes.
    """
    figure = Figure(figsize=(11, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    _draw_bars(left, flips, blocks_per_stage, ticket)
    left.set(ylabel=metric, title='Each bit of the ticket flipped: change of the score')
    _draw_bars(right, shapley, blocks_per_stage, ticket)
    right.set(ylabel=metric, title='Each block connected: Shapley value')
    return figure


def _draw_bars(axes: Axes, bars: Sequence[EffectBar], blocks_per_stage: Sequence[int], ticket: np.ndarray) -> None:
    position = np.arange(len(bars))
    effects = np.array([bar.effect for bar in bars])
    ends = np.array([(bar.low, bar.high) for bar in bars]).T
    for chosen, colour, label in (
        (ticket, 'tab:red', 'connected in the ticket'),
        (~ticket, 'lightgray', 'not connected'),
    ):
        if chosen.any():
            axes.bar(position[chosen], effects[chosen], color=colour, label=label)
    axes.vlines(position, *ends, color='black', linewidth=1.2)
    axes.axhline(0, color='black', linewidth=0.8)
    for edge in np.cumsum(blocks_per_stage)[:-1]:
        axes.axvline(edge - 0.5, color='gray', linewidth=0.8, linestyle=':')
    axes.margins(y=0.25)  # room for the legend
    axes.legend(loc='upper right', fontsize='small')
    axes.set(xlabel='block (lines part the stages)', xticks=position if len(position) <= 20 else position[::6])

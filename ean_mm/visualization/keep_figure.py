"""How a strategy made up its mind: the probability of each connection over the steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

MOST_ROWS = 400  # of steps; more are thinned out evenly


def draw_keep(probabilities: Sequence[Sequence[float]], blocks_per_stage: Sequence[int], ticket: np.ndarray) -> Figure:
    """Draw a heat map, steps from top to bottom, blocks from left to right; lines part the stages, stars mark the ticket.

    Args:
        probabilities: for each step, of each connection, in [0, 1]; at least one step.
        blocks_per_stage: layout of the blocks.
        ticket: mask of the ticket.
    """
    table = np.array(probabilities, dtype=float)
    num_steps, num_blocks = table.shape
    rows = np.unique(np.linspace(0, num_steps - 1, min(num_steps, MOST_ROWS)).round().astype(int))
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.subplots()
    extent = (-0.5, num_blocks - 0.5, num_steps - 0.5, -0.5)
    picture = axes.imshow(
        table[rows], vmin=0, vmax=1, cmap='coolwarm', aspect='auto', interpolation='nearest', extent=extent
    )
    figure.colorbar(picture, ax=axes, label='probability of connecting')
    for edge in np.cumsum(blocks_per_stage)[:-1]:
        axes.axvline(edge - 0.5, color='black', linewidth=0.8)
    on = np.flatnonzero(ticket)
    if len(on):
        axes.plot(
            on,
            np.full(len(on), -0.02),
            '*',
            color='tab:red',
            markersize=11,
            clip_on=False,
            transform=axes.get_xaxis_transform(),
        )
    axes.set(
        xlabel='block (lines part the stages; stars: connected in the ticket)',
        ylabel='step',
        title='What the strategy would connect',
        xticks=np.arange(num_blocks) if num_blocks <= 20 else np.arange(num_blocks)[::6],
    )
    axes.tick_params(axis='x', pad=10)
    return figure

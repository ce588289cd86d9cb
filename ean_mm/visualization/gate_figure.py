"""Gates of many images, side by side: stripes where they hardly differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

NUM_IMAGES, NUM_CHANNELS = 20, 60  # shown of each site, as in arXiv:2304.06345
_COLUMNS = 3


def draw_gates(sites: Sequence[tuple[str, np.ndarray, bool]]) -> Figure:
    """Draw one heat map per site, images by channels, all on one scale of colours.

    Args:
        sites: at least one: its name, its gates (images, C), and whether they were folded.
    """
    rows = math.ceil(len(sites) / _COLUMNS)
    columns = min(len(sites), _COLUMNS)
    figure = Figure(figsize=(4.2 * columns, 0.6 + 1.9 * rows), layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False)
    top = max(float(gates[:NUM_IMAGES, :NUM_CHANNELS].max()) for _, gates, _ in sites)
    for axes, (name, gates, is_folded) in zip(grid.flat, sites, strict=False):
        shown = gates[:NUM_IMAGES, :NUM_CHANNELS]
        image = axes.imshow(shown, aspect='auto', interpolation='nearest', vmin=0, vmax=top, cmap='viridis')
        deviation = float(gates.std(axis=0).mean())
        axes.set_title(f'{name}: deviation {deviation:.3f}{", folded" if is_folded else ""}', fontsize=9)
        axes.tick_params(labelsize=7)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator('auto', integer=True))
    for axes in list(grid.flat)[len(sites) :]:
        axes.axis('off')
    figure.supxlabel('channel', fontsize=9)
    figure.supylabel('image', fontsize=9)
    figure.colorbar(image, ax=grid, label='gate', shrink=0.8, pad=0.02, aspect=12 * rows)
    return figure

"""How cost grows with pixels: fitted exponents, and the picture of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Line:
    """What one network or layer costs.

    Attributes:
        name: of it.
        points: (pixels, cost), at least one.
        style: of matplotlib.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = 'o-'


def fit_exponent(points: Sequence[tuple[float, float]]) -> float:
    """The exponent p of cost ~ pixels^p, by least squares of the logarithms.

    >>> round(fit_exponent([(1, 3.0), (10, 300.0), (100, 30000.0)]), 6)
    2.0
    """
    pixels, costs = np.log(np.asarray(points, dtype=float)).T
    return float(np.polyfit(pixels, costs, 1)[0])


def draw_scaling(panels: Mapping[str, Sequence[Line]], title: str) -> Figure:
    """Draw cost against pixels, both on logarithmic axes: a panel per kind of cost, the exponent in the legend.

    Args:
        panels: label of the cost to its lines; lines without a point are left out.
        title: of the figure.
    """
    figure = Figure(figsize=(6.5 * len(panels), 5.2), layout='constrained')
    for axes, (label, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for line in lines:
            if line.points:
                exponent = f': pixels^{fit_exponent(line.points):.2f}' if len(line.points) > 1 else ''
                axes.plot(*zip(*line.points, strict=True), line.style, label=f'{line.name}{exponent}')
        sides = sorted({int(pixels) for line in lines for pixels, _ in line.points})
        axes.set_xscale('log')
        axes.set_yscale('log')
        axes.set_xticks(sides, [f'{round(pixels**0.5)}²' for pixels in sides])
        axes.minorticks_off()
        axes.set(xlabel='pixels', ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.suptitle(title)
    return figure

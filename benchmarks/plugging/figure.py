"""The picture of overhead.py: how latency grows with the number of connected blocks."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

TICKS = (1, 1.1, 1.2, 1.3, 1.5, 2, 3, 4, 6, 8, 12, 16)


def draw_density(rows: Sequence[dict]) -> Figure:
    """Draw latency relative to the bare backbone against density: a panel per setting, a line per attention.

    The band around a line spans the quartiles over rounds; the legend, in the order of the lines' right ends, names the
    parameters that the attention adds where every block is connected.

    Args:
        rows: of the table, at least one with a density.
    """
    rows = [row for row in rows if row['density'] != '']
    precisions, modes = (list(dict.fromkeys(row[key] for row in rows)) for key in ('precision', 'mode'))
    figure = Figure(figsize=(8.5 * len(modes), 4.5 * len(precisions)), layout='constrained')
    panels = figure.subplots(len(precisions), len(modes), squeeze=False)
    for i, precision in enumerate(precisions):
        for j, mode in enumerate(modes):
            _draw_panel(panels[i, j], [row for row in rows if (row['precision'], row['mode']) == (precision, mode)])
            panels[i, j].set_title(f'{mode}, {precision}')
    first = rows[0]
    figure.suptitle(
        f'{first["baseline"]}, one attention per stage connected to more and more blocks\n'
        f'{first["batch_size"]} images of {first["image_size"]} x {first["image_size"]} on {first["device"]}, '
        f'threads: {first["threads"]}, torch {first["torch"]}, {first["date"]}'
    )
    return figure


def _draw_panel(axes: Axes, rows: Sequence[dict]) -> None:
    names = list(dict.fromkeys(row['attention'] for row in rows))
    colours = {name: f'C{i}' for i, name in enumerate(names)}
    lines = {name: [row for row in rows if row['attention'] == name] for name in names}
    for name in sorted(names, key=lambda name: -float(lines[name][-1]['ratio'])):
        line = lines[name]
        density = [float(row['density']) for row in line]
        low, middle, high = ([float(row[key]) for row in line] for key in ('ratio_low', 'ratio', 'ratio_high'))
        added = int(line[-1]['params']) - int(line[0]['params'])
        label = f'{name}: {middle[-1]:.2f} x,\n{_spell(added)} parameters'
        axes.plot(density, middle, 'o-', color=colours[name], label=label)
        axes.fill_between(density, low, high, color=colours[name], alpha=0.15, linewidth=0)
    axes.axhline(1, color='black', linewidth=0.8, linestyle=':')
    axes.set_yscale('log')
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g} x'))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(
        xlabel='connected blocks (share of all)',
        ylabel='time, relative to the bare backbone',
        xticks=[float(row['density']) for row in lines[names[0]]],
    )
    axes.grid(axis='y', alpha=0.3)
    axes.legend(loc='center left', bbox_to_anchor=(1.01, 0.5), fontsize='small', frameon=False)


def _spell(params: int) -> str:
    for unit, size in (('M', 10**6), ('k', 10**3)):
        if params >= size:
            return f'+{params / size:.3g} {unit}'
    return f'+{params}'

"""The picture of attention.py: time and memory against the number of pixels, and how fast they grow."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from . import lines
from .cases import NON_LOCAL, OURS, REFERENCE, Variant

FITTED_FROM = 64  # pixels in height and width: below, the cost of calling operators bends the line
QUANTITIES = {'latency_ms': 'time', 'peak_memory_mib': 'peak memory'}
UNITS = {'latency_ms': 'ms', 'peak_memory_mib': 'MiB'}
STYLES = {OURS: '-', REFERENCE: '--', NON_LOCAL: ':'}


def fit_exponent(rows: Sequence[dict], quantity: str) -> float | None:
    """The e of ``quantity ~ pixels ** e``: least squares over logarithms, sizes from ``FITTED_FROM`` up.

    Args:
        rows: of one attention in one setting; those that were skipped do not count.
        quantity: a key of ``QUANTITIES``.

    >>> f"{fit_exponent([dict(size=s, latency_ms=7 * s**4) for s in (64, 128, 256)], 'latency_ms'):.2f}"
    '2.00'
    """
    fitted = [row for row in rows if row['size'] >= FITTED_FROM and row[quantity]]
    if len(fitted) < 2:
        return None
    return lines.fit_exponent([(row['size'] ** 2, float(row[quantity])) for row in fitted])


def group_lines(rows: Sequence[dict]) -> dict[tuple[str, int], list[dict]]:
    """The rows of each attention, by method and number of heads, in the order of the table."""
    lines: dict[tuple[str, int], list[dict]] = {}
    for row in rows:
        lines.setdefault((row['method'], row['heads']), []).append(row)
    return lines


def draw_scaling(rows: Sequence[dict]) -> Figure:
    """Draw time and peak memory against pixels, logarithmic both ways: a column per width and mode, a line per attention.

    The legend names the fitted exponents and the sizes that they are fitted over; a line ends where the next size was
    skipped.

    Args:
        rows: of the table.
    """
    settings = list(dict.fromkeys((row['channels'], row['mode']) for row in rows))
    figure = Figure(figsize=(4.5 * len(settings), 11), layout='constrained')
    panels = figure.subplots(len(QUANTITIES), len(settings), squeeze=False, sharey='row')
    for j, setting in enumerate(settings):
        chosen = [row for row in rows if (row['channels'], row['mode']) == setting]
        for i, quantity in enumerate(QUANTITIES):
            _draw_panel(panels[i, j], chosen, quantity)
            panels[i, 0].set_ylabel(f'{QUANTITIES[quantity]} ({UNITS[quantity]})')
        panels[0, j].set_title(f'{setting[0]} channels, {setting[1]}')
    first = rows[0]
    figure.suptitle(
        f'Attention on one map of more and more pixels, fp32, on {first["device"]}, threads: {first["threads"]}, '
        f'torch {first["torch"]}, {first["date"]}'
    )
    return figure


def _draw_panel(axes: Axes, rows: Sequence[dict], quantity: str) -> None:
    lines = group_lines(rows)
    heads = sorted({num_heads for _, num_heads in lines})
    for (method, num_heads), line in lines.items():
        measured = [row for row in line if row[quantity]]
        if not measured:
            continue
        axes.plot(
            [row['size'] ** 2 for row in measured],
            [float(row[quantity]) for row in measured],
            marker='o',
            markersize=4,
            linestyle=STYLES[method],
            color='C3' if method == NON_LOCAL else f'C{heads.index(num_heads)}',
            label=_describe_line(method, num_heads, measured, quantity),
        )
    sizes = sorted({row['size'] for row in rows})
    axes.set(xscale='log', yscale='log', xlabel='pixels (n)')
    axes.set_xticks([size**2 for size in sizes], [f'{size}²' for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:,g}'))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.16), fontsize='small', frameon=False)


def _describe_line(method: str, num_heads: int, measured: Sequence[dict], quantity: str) -> str:
    exponent = fit_exponent(measured, quantity)
    name = str(Variant(method, num_heads))
    if exponent is None:
        return name
    sizes = [row['size'] for row in measured if row['size'] >= FITTED_FROM]
    return f'{name}: $n^{{{exponent:.2f}}}$ ({sizes[0]}² to {sizes[-1]}²)'

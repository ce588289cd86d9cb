"""Random schemes by how much of the network they connect: a table and a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from .comparison_table import format_interval
from .results_table import to_text

TITLE = 'Random schemes trained from scratch, by share of connected blocks (mean ± 95 % interval)'


@dataclass(frozen=True)
class TrainedScheme:
    """One scheme, trained with several seeds.

    Attributes:
        scheme: bits per stage.
        values: test metric, one per seed.
        params: parameters of the whole network.
        macs: multiply-accumulates for one image.
        latency_ms: of one image, all schemes measured in turn.
    """

    scheme: str
    values: tuple[float, ...]
    params: int
    macs: int
    latency_ms: float

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return mean(self.values)


@dataclass(frozen=True)
class RatioRow:
    """The schemes of one connection ratio.

    Attributes:
        ratio: that was asked for.
        num_connected: connections that it comes to.
        schemes: at least one.
        mean: over the schemes.
        low: lower end of its interval, over schemes where there are several, over seeds where there is one; None where
            there is one of both.
        high: upper end, or None.
    """

    ratio: float
    num_connected: int
    schemes: tuple[TrainedScheme, ...]
    mean: float
    low: float | None
    high: float | None

    def to_dict(self) -> dict:
        """The row as plain values, with the mean of each scheme."""
        schemes = [{**asdict(scheme), 'mean': scheme.mean} for scheme in self.schemes]
        return {**asdict(self), 'schemes': schemes}


def format_ratios(rows: Sequence[RatioRow], metric: str, width: int = 120) -> str:
    """Render rows as a text table.

    Args:
        rows: by ratio, the plain network first.
        metric: name of the metric, for the header.
        width: of the text, in characters.
    """
    plain = _mean_of(rows[0], _latency)
    table = Table(title=TITLE, title_justify='left')
    for header in ('ratio', 'on', 'schemes', metric, 'worst', 'best', 'params', 'MACs', 'latency ms', 'more time'):
        table.add_column(header, justify='right')
    for row in rows:
        latency = _mean_of(row, _latency)
        table.add_row(
            f'{row.ratio:g}',
            str(row.num_connected),
            str(len(row.schemes)),
            format_interval(row.mean, row.low, row.high),
            f'{min(scheme.mean for scheme in row.schemes):.2f}',
            f'{max(scheme.mean for scheme in row.schemes):.2f}',
            f'{_mean_of(row, _params):,.0f}',
            f'{_mean_of(row, _macs) / 1e6:,.2f} M',
            f'{latency:.2f}',
            f'{100 * (latency / plain - 1):+.1f} %',
        )
    return to_text(table, width)


def draw_ratios(rows: Sequence[RatioRow], metric: str) -> Figure:
    """Draw metric, parameters and latency against the ratio: a point for each scheme, a line through the means.

    Source: arXiv:2207.07858, figure of its pilot study. Differs: the mean of each scheme's seeds, and latency in ms.

    Args:
        rows: by ratio, the plain network first and full attention last.
        metric: name of the metric, for the axis.
    """
    figure = Figure(figsize=(13, 4), layout='constrained')
    quality, size, speed = figure.subplots(1, 3)
    _draw_panel(quality, rows, _value, metric)
    for row, name, color in ((rows[0], 'plain', 'tab:gray'), (rows[-1], 'full attention', 'tab:orange')):
        quality.axhline(row.mean, linestyle='--', linewidth=1, color=color, label=name)
    quality.legend(loc='best')
    _draw_panel(size, rows, _params, 'parameters')
    _draw_panel(speed, rows, _latency, 'latency of one image, ms')
    return figure


def _draw_panel(axes: Axes, rows: Sequence[RatioRow], read: Callable[[TrainedScheme], float], label: str) -> None:
    points = [(row.ratio, read(scheme)) for row in rows for scheme in row.schemes]
    axes.plot(*zip(*points, strict=True), 'o', color='tab:blue', alpha=0.5, markersize=5, label='scheme')
    means = [_mean_of(row, read) for row in rows]
    axes.plot([row.ratio for row in rows], means, color='tab:red', linewidth=2, label='mean')
    axes.set(xlabel='share of connected blocks', ylabel=label)
    axes.grid(alpha=0.3)


def _mean_of(row: RatioRow, read: Callable[[TrainedScheme], float]) -> float:
    return mean(read(scheme) for scheme in row.schemes)


def _value(scheme: TrainedScheme) -> float:
    return scheme.mean


def _params(scheme: TrainedScheme) -> float:
    return scheme.params


def _macs(scheme: TrainedScheme) -> float:
    return scheme.macs


def _latency(scheme: TrainedScheme) -> float:
    return scheme.latency_ms

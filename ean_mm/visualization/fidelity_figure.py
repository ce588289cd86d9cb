"""Scores of the supernet beside networks trained alone: a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from .results_table import to_text

_MARKS = {'none': ('s', 'tab:gray'), 'all': ('D', 'tab:orange'), 'ticket': ('*', 'tab:red')}


@dataclass(frozen=True)
class RankedScheme:
    """A scheme with what the supernet says of it and what it is worth.

    Attributes:
        name: 'none', 'all', 'ticket' or the scheme.
        scheme: bits per stage.
        stand_alone: test metric of networks trained alone with it, one per seed.
        supernet: score of the supernet, recalibrated.
        supernet_raw: score with the supernet's own batch-norm statistics.
    """

    name: str
    scheme: str
    stand_alone: tuple[float, ...]
    supernet: float
    supernet_raw: float

    @property
    def mean(self) -> float:
        """Of the networks trained alone."""
        return mean(self.stand_alone)

    def to_dict(self) -> dict:
        """The scheme as plain values."""
        return asdict(self)


def format_fidelity(schemes: Sequence[RankedScheme], metric: str, title: str, width: int = 120) -> str:
    """Render schemes as a text table, the best one first, with its place in each order.

    Args:
        schemes: at least one.
        metric: name of the metric, for the header.
        title: above the table.
        width: of the text, in characters.
    """
    table = Table(title=title, title_justify='left')
    table.add_column('')
    table.add_column('scheme', no_wrap=True)
    for header in ('on', f'alone: {metric}', 'lowest', 'highest', 'supernet', 'place', 'raw', 'place'):
        table.add_column(header, justify='right')
    for scheme in sorted(schemes, key=lambda each: -each.mean):
        table.add_row(
            '' if scheme.name == scheme.scheme else scheme.name,
            scheme.scheme,
            str(scheme.scheme.count('1')),
            *(f'{value:.2f}' for value in (scheme.mean, min(scheme.stand_alone), max(scheme.stand_alone))),
            f'{scheme.supernet:.2f}',
            str(1 + sum(other.supernet > scheme.supernet for other in schemes)),
            f'{scheme.supernet_raw:.2f}',
            str(1 + sum(other.supernet_raw > scheme.supernet_raw for other in schemes)),
        )
    return to_text(table, width)


def draw_fidelity(schemes: Sequence[RankedScheme], titles: Mapping[str, str], metric: str) -> Figure:
    """Draw the metric of networks trained alone against the supernet's score, recalibrated and raw; bars span the seeds.

    Args:
        schemes: at least one.
        titles: of the panels 'recalibrated' and 'raw'.
        metric: name of the metric, for the axes.
    """
    figure = Figure(figsize=(10, 4.5), layout='constrained')
    recalibrated, raw = figure.subplots(1, 2, sharey=True)
    _draw_panel(recalibrated, schemes, [scheme.supernet for scheme in schemes])
    _draw_panel(raw, schemes, [scheme.supernet_raw for scheme in schemes])
    for name, axes in (('recalibrated', recalibrated), ('raw', raw)):
        axes.set(xlabel=f'{metric} on the supernet', title=titles[name])
    recalibrated.set_ylabel(f'{metric} trained alone')
    recalibrated.legend(loc='best')
    return figure


def _draw_panel(axes: Axes, schemes: Sequence[RankedScheme], scores: Sequence[float]) -> None:
    for scheme, score in zip(schemes, scores, strict=True):
        marker, color = _MARKS.get(scheme.name, ('o', 'tab:blue'))
        reach = [[scheme.mean - min(scheme.stand_alone)], [max(scheme.stand_alone) - scheme.mean]]
        label = scheme.name if scheme.name in _MARKS else None
        axes.errorbar([score], [scheme.mean], reach, fmt=marker, color=color, markersize=8, linewidth=1, label=label)
    axes.grid(alpha=0.3)

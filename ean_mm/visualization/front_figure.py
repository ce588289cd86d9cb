"""What each budget buys: metric against cost, every scored scheme a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..search import Candidates, Evaluation, best_per_size
from ..structures import ConnectionScheme

_MARKERS = {'none': 's', 'all': 'D', 'ticket': '*'}
_AXES = {'latency': ('latency of one image (ms)', 1.0), 'macs': ('MMACs of one image', 1e-6)}


@dataclass(frozen=True)
class FrontScheme:
    """One scheme that was scored on all images.

    Attributes:
        num_connected: its size.
        metric: its score.
        cost: what it costs, in the unit of the axis.
        is_best_of_size: whether it is marked with its size.
        is_on_front: whether no other scheme beats it in both metric and cost.
    """

    num_connected: int
    metric: float
    cost: float
    is_best_of_size: bool = False
    is_on_front: bool = False


def draw_front(
    schemes: Sequence[FrontScheme], marked: Mapping[str, FrontScheme], metric: str, cost_label: str
) -> Figure:
    """Draw all schemes as points, the best of every size with its number of connections, the front as a line.

    Args:
        schemes: at least one.
        marked: schemes with a sign of their own, by name: 'none', 'all', 'ticket'; any of them may be absent.
        metric: name of the metric, for the axis.
        cost_label: of the other axis, with its unit.
    """
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.subplots()
    others = [scheme for scheme in schemes if not scheme.is_best_of_size]
    axes.plot(*_points(others), 'o', color='tab:blue', alpha=0.35, markersize=4, label='scheme')
    _draw_line(axes, schemes)
    best = [scheme for scheme in schemes if scheme.is_best_of_size]
    axes.plot(*_points(best), 'o', color='tab:blue', markersize=6, label='best of its size (number: connections)')
    for scheme in best:
        axes.annotate(
            str(scheme.num_connected),
            (scheme.cost, scheme.metric),
            xytext=(4, 4),
            textcoords='offset points',
            fontsize=8,
        )
    for name, scheme in marked.items():
        axes.plot(
            scheme.cost, scheme.metric, _MARKERS[name], markersize=13, fillstyle='none', label=name, linestyle='none'
        )
    axes.set(xlabel=cost_label, ylabel=metric, title='What each budget buys (scores of the supernet)')
    axes.legend(loc='best', fontsize=8)
    return figure


def draw_candidates(candidates: Candidates, ticket: ConnectionScheme | None) -> Figure:
    """Draw what a search offers; none and all are marked even where they are not allowed.

    Args:
        candidates: what the search offers, at least one.
        ticket: its ticket, marked with a star.
    """
    label, unit = _AXES[candidates.front_cost]
    layout = candidates.space.blocks_per_stage
    named = {'none': ConnectionScheme.none(layout), 'all': ConnectionScheme.all(layout), 'ticket': ticket}
    best = set(best_per_size(candidates.evaluations))

    def describe(each: Evaluation) -> FrontScheme:
        cost = float(candidates.costs.of(candidates.front_cost, each.scheme.mask[None])[0]) * unit
        metric, size = cast(float, each.metric), each.scheme.num_connected
        return FrontScheme(size, metric, cost, each in best, each in candidates.front)

    full = {
        each.scheme: describe(each) for each in candidates.scored if each.metric is not None and not each.is_partial
    }
    marked = {name: full[scheme] for name, scheme in named.items() if scheme in full}
    return draw_front([describe(each) for each in candidates.evaluations], marked, candidates.metric, label)


def _draw_line(axes: Axes, schemes: Sequence[FrontScheme]) -> None:
    """The front as steps: between two of its schemes, a budget buys the cheaper one."""
    front = sorted((scheme for scheme in schemes if scheme.is_on_front), key=lambda scheme: scheme.cost)
    axes.plot(*_points(front), drawstyle='steps-post', color='tab:red', label='front')


def _points(schemes: Sequence[FrontScheme]) -> tuple[list[float], list[float]]:
    return [scheme.cost for scheme in schemes], [scheme.metric for scheme in schemes]

"""A search at a glance: what was scored, how good it was, which blocks the good schemes connect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class ScoredScheme:
    """One distinct scheme of a search.

    Attributes:
        mask: boolean, (num_connections,).
        metric: its score, or an estimate of it.
        reward: what the strategy was told.
        is_partial: whether both are estimates, because the scheme was dropped before it had seen all images.
    """

    mask: np.ndarray
    metric: float
    reward: float
    is_partial: bool = False


def draw_search(
    schemes: Sequence[ScoredScheme],
    blocks_per_stage: Sequence[int],
    ticket: np.ndarray | None,
    metric: str,
) -> Figure:
    """Draw three panels: reward in the order of scoring, metric against connections, use of each block by the best.

    Estimates are hollow and count for nothing else.

    Args:
        schemes: distinct schemes in the order they were scored, at least one that is no estimate.
        blocks_per_stage: layout of the masks.
        ticket: mask of the winning scheme, marked in every panel.
        metric: name of the metric, for the axes.
    """
    figure = Figure(figsize=(13, 4), layout='constrained')
    history, spread, blocks = figure.subplots(1, 3, width_ratios=(1.2, 1.2, 1))
    _draw_history(history, schemes)
    _draw_spread(spread, schemes, ticket, metric)
    _draw_blocks(blocks, schemes, blocks_per_stage, ticket)
    return figure


def _draw_history(axes: Axes, schemes: Sequence[ScoredScheme]) -> None:
    order = range(1, len(schemes) + 1)
    scores = np.array([-np.inf if scheme.is_partial else scheme.reward for scheme in schemes])
    _draw_points(axes, order, [scheme.reward for scheme in schemes], schemes)
    axes.plot(order, np.maximum.accumulate(scores), color='tab:red', label='best so far')
    axes.set(xlabel='distinct schemes scored', ylabel='reward', title='Search')
    axes.legend(loc='lower right')


def _draw_points(axes: Axes, x: Sequence[float], y: Sequence[float], schemes: Sequence[ScoredScheme]) -> None:
    """Draw scores as full points and estimates, if there are any, as hollow ones."""
    is_partial = np.array([scheme.is_partial for scheme in schemes])
    points = np.array([x, y])
    for chosen, fill, label in ((~is_partial, 'full', 'scheme'), (is_partial, 'none', 'dropped (estimate)')):
        if chosen.any():
            axes.plot(*points[:, chosen], 'o', color='tab:blue', alpha=0.5, markersize=4, fillstyle=fill, label=label)


def _draw_spread(axes: Axes, schemes: Sequence[ScoredScheme], ticket: np.ndarray | None, metric: str) -> None:
    _draw_points(axes, [scheme.mask.sum() for scheme in schemes], [scheme.metric for scheme in schemes], schemes)
    total = len(schemes[0].mask)
    marks = {'none': (np.zeros(total, bool), 's'), 'all': (np.ones(total, bool), 'D')}
    if ticket is not None:
        marks['ticket'] = (ticket, '*')
    for name, (mask, marker) in marks.items():
        score = [scheme.metric for scheme in schemes if np.array_equal(scheme.mask, mask) and not scheme.is_partial]
        if score:
            axes.plot(mask.sum(), score[0], marker, markersize=13, label=name, linestyle='none')
    axes.set(xlabel='connected blocks', ylabel=metric, title='Supernet score by number of connections')
    axes.legend(loc='best')


def _draw_blocks(
    axes: Axes,
    schemes: Sequence[ScoredScheme],
    blocks_per_stage: Sequence[int],
    ticket: np.ndarray | None,
) -> None:
    scored = [scheme for scheme in schemes if not scheme.is_partial]
    best = sorted(scored, key=lambda scheme: -scheme.reward)[: max(1, len(scored) // 4)]
    use = np.mean([scheme.mask for scheme in best], axis=0)
    position = np.arange(len(use))
    axes.bar(position, use, color='lightgray')
    if ticket is not None and ticket.any():
        axes.plot(position[ticket], use[ticket], '*', color='tab:red', markersize=11, clip_on=False, label='ticket')
        axes.legend(loc='upper right')
    for edge in np.cumsum(blocks_per_stage)[:-1]:
        axes.axvline(edge - 0.5, color='black', linewidth=0.8)
    axes.set(
        xlabel='block (lines part the stages)',
        ylabel='share of the best quarter',
        title='Where the best schemes connect',
        ylim=(0, 1),
        xticks=position if len(position) <= 20 else position[::6],
    )

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
        metric: its score.
        reward: what the strategy was told.
    """

    mask: np.ndarray
    metric: float
    reward: float


def draw_search(
    schemes: Sequence[ScoredScheme],
    blocks_per_stage: Sequence[int],
    ticket: np.ndarray | None,
    metric: str,
) -> Figure:
    """Draw three panels: reward in the order of scoring, metric against connections, use of each block by the best.

    Args:
        schemes: distinct schemes in the order they were scored, at least one.
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
    rewards = np.array([scheme.reward for scheme in schemes])
    order = np.arange(1, len(rewards) + 1)
    axes.plot(order, rewards, 'o', color='tab:blue', alpha=0.5, markersize=4, label='scheme')
    axes.plot(order, np.maximum.accumulate(rewards), color='tab:red', label='best so far')
    axes.set(xlabel='distinct schemes scored', ylabel='reward', title='Search')
    axes.legend(loc='lower right')


def _draw_spread(axes: Axes, schemes: Sequence[ScoredScheme], ticket: np.ndarray | None, metric: str) -> None:
    counts = np.array([scheme.mask.sum() for scheme in schemes])
    metrics = np.array([scheme.metric for scheme in schemes])
    axes.plot(counts, metrics, 'o', color='tab:blue', alpha=0.5, markersize=4)
    total = len(schemes[0].mask)
    marks = {'none': (np.zeros(total, bool), 's'), 'all': (np.ones(total, bool), 'D')}
    if ticket is not None:
        marks['ticket'] = (ticket, '*')
    for name, (mask, marker) in marks.items():
        score = [scheme.metric for scheme in schemes if np.array_equal(scheme.mask, mask)]
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
    best = sorted(schemes, key=lambda scheme: -scheme.reward)[: max(1, len(schemes) // 4)]
    use = np.mean([scheme.mask for scheme in best], axis=0)
    position = np.arange(len(use))
    axes.bar(position, use, color='lightgray')
    if ticket is not None:
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

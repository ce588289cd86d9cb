"""A ticket among its controls, and how much better it is than each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class ControlPoint:
    """A control's score.

    Attributes:
        name: 'none', 'all', ..., or 'random 1', 'random 2', ...
        metric: on all reward images.
    """

    name: str
    metric: float


@dataclass(frozen=True)
class ComparisonBar:
    """The ticket's metric minus a control's, with an interval; and the same without regard to how the ticket was chosen.

    Attributes:
        name: of the control.
        difference: in units of the metric.
        low: lower end of the interval.
        high: upper end.
        chosen_difference: as found.
    """

    name: str
    difference: float
    low: float
    high: float
    chosen_difference: float


def draw_verdict(
    controls: Sequence[ControlPoint], ticket: float, comparisons: Sequence[ComparisonBar], metric: str, sentence: str
) -> Figure:
    """Draw two panels: the scores of controls and ticket, random schemes as a strip; differences with intervals.

    Args:
        controls: with random ones or without.
        ticket: its score.
        comparisons: at least one.
        metric: name of the metric, for the axes.
        sentence: the verdict, above both panels.
    """
    figure = Figure(figsize=(11, 4), layout='constrained')
    figure.suptitle(sentence, wrap=True, fontsize='medium')
    left, right = figure.subplots(1, 2)
    _draw_scores(left, controls, ticket, metric)
    _draw_differences(right, comparisons, metric)
    return figure


def _draw_scores(axes: Axes, controls: Sequence[ControlPoint], ticket: float, metric: str) -> None:
    named = [control for control in controls if not control.name.startswith('random')]
    strip = np.array([control.metric for control in controls if control.name.startswith('random')])
    names = [control.name for control in named]
    axes.plot([control.metric for control in named], range(len(named)), 'o', color='tab:blue')
    if len(strip):
        names.append('random')
        jitter = np.linspace(-0.2, 0.2, len(strip))[np.argsort(np.argsort(np.sin(np.arange(len(strip)))))]
        axes.plot(strip, len(named) + jitter, 'o', color='tab:blue', alpha=0.45, markersize=5)
        axes.plot(strip.mean(), len(named), '|', color='black', markersize=22)
    axes.plot(ticket, len(names), '*', color='tab:red', markersize=13)
    names.append('ticket')
    axes.axvline(ticket, color='tab:red', linewidth=0.8, alpha=0.5)
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel=metric, title='Scores on the same images')
    axes.margins(y=0.1)


def _draw_differences(axes: Axes, comparisons: Sequence[ComparisonBar], metric: str) -> None:
    position = np.arange(len(comparisons))[::-1]
    axes.hlines(
        position, [bar.low for bar in comparisons], [bar.high for bar in comparisons], color='tab:red', linewidth=2
    )
    axes.plot(
        [bar.difference for bar in comparisons], position, 'o', color='tab:red', label='luck of the choice taken out'
    )
    found = [bar.chosen_difference for bar in comparisons]
    axes.plot(found, position, 'o', color='gray', fillstyle='none', label='as found')
    axes.axvline(0, color='black', linewidth=0.8)
    names = [f'ticket - {bar.name}' for bar in comparisons]
    axes.set(yticks=position, yticklabels=names, xlabel=f'difference of {metric}', title='Differences, 95 %')
    axes.margins(y=0.3)
    axes.legend(loc='upper left', fontsize='small')

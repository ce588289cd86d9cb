"""Charts with axes, as values that the template draws; coordinates are percent of their width and height."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Axis:
    """A range of numbers, drawn from 0 to 100.

    Attributes:
        name: with the unit.
        low: number at 0.
        high: number at 100.
        ticks: numbers to name, or places and their names.
    """

    name: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]] = ()

    @classmethod
    def around(cls, name: str, values: Sequence[float], is_whole: bool = False) -> Axis:
        """An axis that shows ``values``, at least one, with a little room around them."""
        low, high = min(values), max(values)
        room = 0.06 * (high - low) or 0.5 + 0.01 * abs(high)
        low, high = low - room, high + room
        step = _nice_step(high - low, is_whole)
        digits = max(0, -math.floor(math.log10(step)))
        places = [step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
        return cls(name, low, high, [(place, f'{place:,.{digits}f}') for place in places])

    def place(self, value: float) -> float:
        """Where a number stands, in percent, cut at the ends."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)

    def places(self) -> list[tuple[float, str]]:
        """Where the ticks stand, and their names."""
        return [(self.place(number), name) for number, name in self.ticks]


def _nice_step(span: float, is_whole: bool) -> float:
    """A step of 1, 2 or 5 times a power of ten that gives 3 to 6 ticks."""
    least = span / 6
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    return max(1.0, step) if is_whole else step


# -- plots -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Series:
    """Points, or a line through them.

    Attributes:
        name: for the legend; an empty one is left out of it.
        style: a class of the style sheet: 'ticket', 'best', 'random', 'scheme', 'none', 'all', 'estimate'.
        points: pairs of numbers, at least one.
        titles: what to say about each point.
        is_line: whether they are joined.
        is_stepped: whether the line keeps its height up to the next point.
    """

    name: str
    style: str
    points: Sequence[tuple[float, float]]
    titles: Sequence[str] = ()
    is_line: bool = False
    is_stepped: bool = False


@dataclass(frozen=True)
class Plot:
    """A diagram with two axes.

    Attributes:
        title: above it.
        alt: what is to be seen, in words.
        x: horizontal axis.
        y: vertical axis.
        series: drawn one over the other.
        verticals: places of x to mark, and why.
    """

    kind: ClassVar[str] = 'plot'
    title: str
    alt: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    verticals: Sequence[tuple[float, str]] = ()

    def spots(self, series: Series) -> list[tuple[float, float, str]]:
        """Place and title of each point, the origin at the upper left."""
        titles = series.titles or [''] * len(series.points)
        return [
            (self.x.place(x), round(100 - self.y.place(y), 2), title)
            for (x, y), title in zip(series.points, titles, strict=True)
        ]

    def path(self, series: Series) -> str:
        """The line as commands of an SVG path."""
        spots = self.spots(series)
        pieces = [f'M{spots[0][0]:g} {spots[0][1]:g}']
        for x, y, _ in spots[1:]:
            pieces.append(f'H{x:g}V{y:g}' if series.is_stepped else f'L{x:g} {y:g}')
        return ''.join(pieces)


@dataclass(frozen=True)
class Bar:
    """A row of a chart of intervals.

    Attributes:
        name: what it is about.
        value: the number.
        low: lower end; None where there is no interval.
        high: upper end.
        text: the numbers, as written beside it.
        dots: single values behind the number.
        is_marked: whether to point it out.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    text: str
    dots: Sequence[float] = ()
    is_marked: bool = False


@dataclass(frozen=True)
class Bars:
    """Numbers with their intervals, one per row, on a common axis.

    Attributes:
        caption: what is to be seen.
        header: what the numbers are.
        bars: the rows.
        axis: covers all of them.
        zero: place of the line to compare with, in numbers; None for no line.
    """

    kind: ClassVar[str] = 'bars'
    caption: str
    header: str
    bars: Sequence[Bar]
    axis: Axis
    zero: float | None = None

    @classmethod
    def around(cls, caption: str, header: str, bars: Sequence[Bar], zero: float | None = None) -> Bars:
        """Rows with an axis that shows them all, and ``zero``."""
        shown = [number for bar in bars for number in (bar.value, bar.low, bar.high, zero, *bar.dots)]
        axis = Axis.around(header, [number for number in shown if number is not None])
        return cls(caption, header, bars, axis, zero)

    @property
    def line(self) -> float | None:
        """Where the line to compare with stands."""
        return None if self.zero is None else self.axis.place(self.zero)

    def ends(self, bar: Bar) -> tuple[float, float] | None:
        """Where the ends of an interval stand."""
        if bar.low is None or bar.high is None:
            return None
        return self.axis.place(bar.low), self.axis.place(bar.high)


@dataclass(frozen=True)
class Heat:
    """A map of shares: rows of cells.

    Attributes:
        title: above it.
        alt: what is to be seen, in words.
        rows: a name, shares from 0 to 1, and the text at the end of each row.
        left: what stands below the first column.
        right: what stands below the last.
        edges: after which rows a new stage begins.
    """

    kind: ClassVar[str] = 'heat'
    title: str
    alt: str
    rows: Sequence[tuple[str, Sequence[float], str]]
    left: str
    right: str
    edges: frozenset[int] = frozenset()

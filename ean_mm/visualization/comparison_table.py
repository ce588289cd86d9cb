"""The table that ends a comparison of networks trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import compress

from rich.table import Table

from .results_table import to_text

TITLE = 'Trained from scratch by one recipe, measured on the test images (mean ± 95 % interval over seeds)'


@dataclass(frozen=True)
class ComparisonRow:
    """Networks trained from scratch with one scheme, or with one scheme of a kind for each seed.

    Attributes:
        name: 'none', 'all', 'ticket', 'random' or a scheme.
        schemes: the one, or one for each seed.
        seeds: of the trainings that have finished.
        values: test metric of each of them.
        mean: of the values; None if there are none.
        low: lower end of the interval of the mean; None of fewer than two values.
        high: upper end, or None.
        num_connected: connections of the scheme.
        params: parameters of the whole network; mean over the schemes, rounded.
        macs: multiply-accumulates for one image; mean over the schemes, rounded.
        elementwise: element-wise operations for one image; mean over the schemes, rounded.
        latency_ms: of one image, all schemes measured in turn; mean over the schemes.
        supernet: score of the shared supernet on the reward images; None where there is none for the one scheme.
    """

    name: str
    schemes: tuple[str, ...]
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float | None
    low: float | None
    high: float | None
    num_connected: int
    params: int
    macs: int
    elementwise: int
    latency_ms: float
    supernet: float | None = None

    def to_dict(self) -> dict:
        """The row as plain values."""
        return asdict(self)


def format_comparison(rows: Sequence[ComparisonRow], metric: str, width: int = 120) -> str:
    """Render rows as a text table.

    A column for element-wise work appears where multiply-accumulates cannot tell schemes apart.

    Args:
        rows: in the order that tells the story.
        metric: name of the metric, for the header.
        width: of the text, in characters.
    """
    headers = (f'trained {metric}', 'seeds', 'supernet', 'on', 'params', 'MACs', 'element-wise', 'latency ms')
    has_elementwise = len(rows) > 1 and len({row.macs for row in rows}) == 1
    shown = [header != 'element-wise' or has_elementwise for header in headers]
    table = Table(title=TITLE, title_justify='left')
    table.add_column('')
    table.add_column('scheme', no_wrap=True)
    for header in compress(headers, shown):
        table.add_column(header, justify='right')
    for row in rows:
        is_scheme = row.name == row.schemes[0]
        table.add_row('' if is_scheme else row.name, _format_schemes(row.schemes), *compress(_format_row(row), shown))
    return to_text(table, width)


def format_interval(mean: float | None, low: float | None, high: float | None) -> str:
    """A mean with half the width of its interval, as far as they are known.

    >>> format_interval(70.0, 69.0, 71.0), format_interval(70.0, None, None), format_interval(None, None, None)
    ('70.00 ± 1.00', '70.00', '-')
    """
    if mean is None:
        return '-'
    return f'{mean:.2f}' if low is None or high is None else f'{mean:.2f} ± {(high - low) / 2:.2f}'


def _format_schemes(schemes: Sequence[str]) -> str:
    return schemes[0] if len(set(schemes)) == 1 else 'one for each seed'


def _format_row(row: ComparisonRow) -> list[str]:
    return [
        format_interval(row.mean, row.low, row.high),
        str(len(row.values)),
        '-' if row.supernet is None else f'{row.supernet:.2f}',
        str(row.num_connected),
        f'{row.params:,}',
        f'{row.macs / 1e6:,.2f} M',
        f'{row.elementwise / 1e6:,.2f} M',
        f'{row.latency_ms:.2f}',
    ]

"""The table that ends a search."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from statistics import mean, stdev

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class ResultRow:
    """One scheme of the results.

    Attributes:
        name: 'none', 'all', 'ticket' or a runner-up.
        scheme: bits per stage.
        metric: score of the supernet under this scheme, on the reward images.
        reward: metric plus sparsity bonus.
        num_connected: connections of the scheme.
        params: parameters of the whole network.
        macs: multiply-accumulates for one image.
        latency_ms: measured; None where it was not.
        elementwise: element-wise operations for one image; None where they were not counted.
    """

    name: str
    scheme: str
    metric: float
    reward: float
    num_connected: int
    params: int
    macs: int
    latency_ms: float | None
    elementwise: int | None = None

    def to_dict(self) -> dict:
        """The row as plain values."""
        return asdict(self)


def format_results(rows: Sequence[ResultRow], metric: str, title: str, width: int = 120) -> str:
    """Render rows as a text table.

    A column for element-wise work appears where multiply-accumulates cannot tell schemes apart, as with an attention that has
    none (SGE).

    Args:
        rows: in the order that tells the story.
        metric: name of the metric, for the header.
        title: what the figures are, above the table.
        width: of the text, in characters.
    """
    is_counted = any(row.elementwise is not None for row in rows)
    has_elementwise = is_counted and len(rows) > 1 and len({row.macs for row in rows}) == 1
    columns = {
        f'supernet {metric}': True,
        'reward': True,
        'on': True,
        'params': True,
        'MACs': True,
        'element-wise': has_elementwise,
        'latency ms': True,
    }
    table = Table(title=title, title_justify='left')
    table.add_column('')
    table.add_column('scheme', no_wrap=True)
    for header in compress(columns, columns.values()):
        table.add_column(header, justify='right')
    for row in rows:
        table.add_row(row.name, row.scheme, *compress(_format_row(row), columns.values()))
    return to_text(table, width)


def to_text(renderable: object, width: int = 120) -> str:
    """Render anything of rich as plain text, for a log."""
    text = io.StringIO()
    Console(file=text, width=width).print(renderable)
    return '\n'.join(line.rstrip() for line in text.getvalue().splitlines())


def _format_row(row: ResultRow) -> list[str]:
    return [
        f'{row.metric:.2f}',
        f'{row.reward:.2f}',
        str(row.num_connected),
        f'{row.params:,}',
        f'{row.macs / 1e6:,.2f} M',
        '-' if row.elementwise is None else f'{row.elementwise / 1e6:,.2f} M',
        '-' if row.latency_ms is None else f'{row.latency_ms:.2f}',
    ]


def format_trained(values: Sequence[float]) -> str:
    """Results of several seeds in one cell: the only one, or mean and standard deviation."""
    if not values:
        return '-'
    if len(values) == 1:
        return f'{values[0]:.2f}'
    return f'{mean(values):.2f} ± {stdev(values):.2f} ({len(values)} seeds)'

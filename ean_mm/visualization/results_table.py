"""The table that ends a search."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class ResultRow:
    """One network of the results.

    Attributes:
        name: 'none', 'all', 'ticket' or a rank.
        scheme: bits per stage.
        metric: of the supernet under this scheme, or of a network trained with it.
        reward: metric plus sparsity bonus; None for a trained network.
        num_connected: connections of the scheme.
        params: parameters of the whole network.
        macs: multiply-accumulates for one image.
        latency_ms: measured; None where it was not.
    """

    name: str
    scheme: str
    metric: float
    reward: float | None
    num_connected: int
    params: int
    macs: int
    latency_ms: float | None

    def to_dict(self) -> dict:
        """The row as plain values."""
        return asdict(self)


def format_results(rows: Sequence[ResultRow], metric: str, title: str, width: int = 110) -> str:
    """Render rows as a text table.

    Args:
        rows: from best to worst, or in any order that tells the story.
        metric: name of the metric, for the header.
        title: what the figures are, above the table.
        width: of the text, in characters.
    """
    table = Table(title=title, title_justify='left')
    table.add_column('')
    table.add_column('scheme', no_wrap=True)
    for header in (metric, 'reward', 'connected', 'params', 'MACs', 'latency ms'):
        table.add_column(header, justify='right')
    for row in rows:
        table.add_row(
            row.name,
            row.scheme,
            f'{row.metric:.2f}',
            _optional(row.reward, '.2f'),
            str(row.num_connected),
            f'{row.params:,}',
            _in_millions(row.macs),
            _optional(row.latency_ms, '.2f'),
        )
    return to_text(table, width)


def to_text(renderable: object, width: int = 110) -> str:
    """Render anything of rich as plain text, for a log."""
    text = io.StringIO()
    Console(file=text, width=width).print(renderable)
    return text.getvalue().rstrip()


def _optional(value: float | None, spec: str) -> str:
    return '-' if value is None else format(value, spec)


def _in_millions(macs: int) -> str:
    return f'{macs / 1e6:,.2f} M'

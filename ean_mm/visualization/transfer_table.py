"""The table that ends a transfer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from .results_table import format_trained, to_text

TITLE = 'Trained by one recipe, measured on the test images'


@dataclass(frozen=True)
class TransferRow:
    """One scheme in the network of another task.

    Attributes:
        name: 'none', 'all', 'ticket' or 'random'.
        scheme: bits per stage.
        num_connected: connections of the scheme.
        metrics: test metrics by name, one per seed.
        params: parameters of the whole network.
        macs: multiply-accumulates for one image.
        latency_ms: of one image, all schemes measured in turn.
    """

    name: str
    scheme: str
    num_connected: int
    metrics: dict[str, tuple[float, ...]]
    params: int
    macs: int
    latency_ms: float

    def to_dict(self) -> dict:
        """The row as plain values."""
        return asdict(self)


def format_transfer(rows: Sequence[TransferRow], width: int = 120) -> str:
    """Render rows as a text table.

    Args:
        rows: at least one; all with the same metrics.
        width: of the text, in characters.
    """
    table = Table(title=TITLE, title_justify='left')
    table.add_column('')
    table.add_column('scheme', no_wrap=True)
    for header in (*rows[0].metrics, 'on', 'params', 'MACs', 'latency ms'):
        table.add_column(header, justify='right')
    for row in rows:
        table.add_row(
            row.name,
            row.scheme,
            *map(format_trained, row.metrics.values()),
            str(row.num_connected),
            f'{row.params:,}',
            f'{row.macs / 1e6:,.2f} M',
            f'{row.latency_ms:.2f}',
        )
    return to_text(table, width)

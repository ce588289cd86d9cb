"""The table that ends a deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from .results_table import to_text

TITLE = 'Latency of one image, the networks taking turns'


@dataclass(frozen=True)
class DeployRow:
    """One network.

    Attributes:
        name: what it is.
        params: its parameters.
        latency_ms: of one image.
    """

    name: str
    params: int
    latency_ms: float

    def to_dict(self) -> dict:
        """The row as plain values."""
        return asdict(self)


def format_deploy(rows: Sequence[DeployRow], width: int = 120) -> str:
    """Render rows as a text table; latencies are compared with the first row's.

    Args:
        rows: at least one.
        width: of the text, in characters.
    """
    table = Table(title=TITLE, title_justify='left')
    table.add_column('')
    for header in ('params', 'latency ms', f'of {rows[0].name}'):
        table.add_column(header, justify='right')
    for row in rows:
        ratio = row.latency_ms / rows[0].latency_ms
        table.add_row(row.name, f'{row.params:,}', f'{row.latency_ms:.2f}', f'{ratio:.3f} x')
    return to_text(table, width)

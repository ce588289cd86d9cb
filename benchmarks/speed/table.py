"""The table that search.py prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from ean_mm.visualization import to_text


def draw_table(rows: Sequence[dict]) -> str:
    """The rows of a case, a line per way and budget."""
    table = Table()
    for header in ('case', 'way'):
        table.add_column(header)
    for header in (
        'GiB',
        'seconds',
        'speed-up',
        'computed',
        'held MiB',
        'peak MiB',
        'identical',
        'largest diff.',
        'regret',
    ):
        table.add_column(header, justify='right')
    for row in rows:
        seconds = f'{float(row["seconds"]):.1f}' + ' *' * row['is_extrapolated']
        cells = (row.get(key, '') for key in ('computed_share', 'held_mib', 'peak_memory_mib'))
        identical = f'{row["num_identical"]} of {row["num_compared"]}' if 'num_compared' in row else ''
        budget = f'{row["budget_gib"]:g}' if row['budget_gib'] != '' else ''
        speedup = f'{float(row["speedup"]):.2f} x'
        table.add_row(
            row['case'],
            row['way'],
            budget,
            seconds,
            speedup,
            *cells,
            identical,
            *(row.get(key, '') for key in ('max_difference', 'regret')),
        )
    return to_text(table, width=140)


def describe_limits(rows: Sequence[dict]) -> str:
    """What the proposals of a case allow at most, and what was extrapolated."""
    naive = rows[0]
    text = (
        f'{naive["case"]}: {naive["num_distinct"]} of {naive["num_proposals"]} proposals are distinct; memory alone gives at '
        f'most {naive["limit_memory"]} x, sharing prefixes with room for everything {naive["limit_sharing"]} x in MACs, '
        f'{naive["limit_time"]} x in measured seconds.'
    )
    return text + f' * = extrapolated from {naive["num_scored"]} full scorings.' * naive['is_extrapolated']

"""What attention.py was expected to show, beside what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .cases import MODES, NON_LOCAL, OURS, Case, Variant
from .figure import QUANTITIES, fit_exponent, group_lines

MAX_EXPONENT = 1.1
MIN_SPEEDUP = 40
SPEEDUP_AT = (64, 64)  # channels, height and width
MAX_RATIO_TO_REFERENCE = {1: 1.05, 8: 0.7}
LARGEST = 512


@dataclass(frozen=True)
class Target:
    """One expectation.

    Attributes:
        what: was to be seen.
        wanted: how much of it.
        found: what came out; empty where nothing was measured.
        is_reached: whether that is enough.
    """

    what: str
    wanted: str
    found: str = ''
    is_reached: bool = False

    @property
    def verdict(self) -> str:
        return ('reached' if self.is_reached else 'missed') if self.found else 'not measured'


def check_targets(rows: Sequence[dict]) -> list[Target]:
    """Every expectation beside the rows of a table."""
    ours = [row for row in rows if row['method'] == OURS]
    return [
        *(_check_exponents(ours, quantity) for quantity in QUANTITIES),
        *(_check_speedup([row for row in rows if row['method'] == NON_LOCAL], mode) for mode in MODES),
        *(_check_reference(ours, num_heads) for num_heads in MAX_RATIO_TO_REFERENCE),
        _check_largest(ours),
    ]


def _check_exponents(ours: Sequence[dict], quantity: str) -> Target:
    exponents = []
    for channels, mode in dict.fromkeys((row['channels'], row['mode']) for row in ours):
        lines = group_lines([row for row in ours if (row['channels'], row['mode']) == (channels, mode)])
        exponents += [fit_exponent(line, quantity) for line in lines.values()]
    fitted = [exponent for exponent in exponents if exponent is not None]
    target = Target(f'exponent of {QUANTITIES[quantity]} in pixels', f'at most {MAX_EXPONENT}')
    if not fitted:
        return target
    found = f'{min(fitted):.2f} to {max(fitted):.2f}'
    return Target(target.what, target.wanted, found, max(fitted) <= MAX_EXPONENT)


def _check_speedup(non_local: Sequence[dict], mode: str) -> Target:
    channels, size = SPEEDUP_AT
    target = Target(f'time of {NON_LOCAL} over ours: {Case(channels, mode, size)}', f'at least {MIN_SPEEDUP}')
    for row in non_local:
        if (row['channels'], row['mode'], row['size']) == (channels, mode, size) and _is_compared(row):
            quartiles = f'[{float(row["ratio_low"]):.1f}, {float(row["ratio_high"]):.1f}]'
            ratio = float(row['ratio'])
            return Target(target.what, target.wanted, f'{ratio:.1f} {quartiles}', ratio >= MIN_SPEEDUP)
    return target


def _check_reference(ours: Sequence[dict], num_heads: int) -> Target:
    most = MAX_RATIO_TO_REFERENCE[num_heads]
    target = Target(f'time of {Variant(OURS, num_heads)}, over the reference: every size', f'at most {most}')
    compared = [row for row in ours if row['heads'] == num_heads and _is_compared(row)]
    if not compared:
        return target
    ratios = [float(row['ratio']) for row in compared]
    worst = compared[ratios.index(max(ratios))]
    where = Case(worst['channels'], worst['mode'], worst['size'])
    found = f'{min(ratios):.3f} to {max(ratios):.3f} ({where})'
    return Target(target.what, target.wanted, found, max(ratios) <= most)


def _is_compared(row: dict) -> bool:
    """Whether the row has a ratio to another attention than its own."""
    return not row['skipped'] and row['baseline'] != str(Variant(row['method'], row['heads']))


def _check_largest(ours: Sequence[dict]) -> Target:
    largest = [row for row in ours if row['size'] == LARGEST]
    run = [row for row in largest if not row['skipped']]
    found = f'{len(run)} of {len(largest)} cases' if largest else ''
    return Target(f'ours runs at {LARGEST} x {LARGEST}', 'every case', found, bool(run) and len(run) == len(largest))

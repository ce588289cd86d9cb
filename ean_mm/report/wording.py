"""Numbers and schemes as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..structures import ConnectionScheme

DASH = '-'


def spell_count(number: float | None) -> str:
    """A whole number with its thousands apart.

    >>> spell_count(275302)
    '275,302'
    """
    return DASH if number is None else f'{number:,.0f}'


def spell_macs(macs: float | None) -> str:
    """Multiply-accumulates in a unit that leaves few digits.

    >>> spell_macs(40_818_506), spell_macs(4_109_000_000), spell_macs(512)
    ('40.82 M', '4.109 G', '512')
    """
    if macs is None:
        return DASH
    for size, unit, digits in ((1e9, 'G', 3), (1e6, 'M', 2), (1e4, 'k', 1)):
        if abs(macs) >= size:
            return f'{macs / (1e3 if unit == "k" else size):,.{digits}f} {unit}'
    return f'{macs:,.0f}'


def spell_ms(milliseconds: float | None) -> str:
    """Milliseconds with three digits that count."""
    return DASH if milliseconds is None else f'{milliseconds:.3f}' if milliseconds < 1 else f'{milliseconds:.2f}'


def spell_share(share: float | None, digits: int = 1) -> str:
    """A share in percent."""
    return DASH if share is None else f'{100 * share:.{digits}f} %'


def spell_change(value: float | None, base: float | None) -> str:
    """How much more than a base something is, in percent.

    >>> spell_change(103, 100), spell_change(100, 100)
    ('+3.0 %', '±0.0 %')
    """
    if value is None or not base:
        return DASH
    text = f'{100 * (value / base - 1):+.1f}'
    return f'{text} %' if float(text) else '±0.0 %'


def spell_seconds(seconds: float) -> str:
    """A duration in the unit that people would take.

    >>> spell_seconds(4.2), spell_seconds(600), spell_seconds(9000)
    ('4.2 s', '10.0 min', '2.50 h')
    """
    if seconds < 10:
        return f'{seconds:.1f} s'
    if seconds < 100:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.1f} min' if seconds < 7200 else f'{seconds / 3600:.2f} h'


def digits_for(values: Iterable[float]) -> int:
    """Digits behind the point that keep four or five digits of a metric.

    >>> digits_for([84.9, 96.3]), digits_for([0.849])
    (2, 4)
    """
    most = max((abs(value) for value in values), default=100.0)
    return 2 if most >= 10 else 3 if most >= 2 else 4


def spell_interval(value: float | None, low: float | None, high: float | None, digits: int, sign: str = '+') -> str:
    """A number and its interval.

    >>> spell_interval(1.5, 0.25, 2.75, 2)
    '+1.50 [+0.25, +2.75]'
    """
    if value is None:
        return DASH
    numbers = [f'{number:{sign}.{digits}f}' for number in (value, low, high) if number is not None]
    return f'{numbers[0]} [{numbers[1]}, {numbers[2]}]' if len(numbers) == 3 else numbers[0]


def count_of(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count_of(1, 'seed'), count_of(5, 'seed')
    ('one seed', '5 seeds')
    """
    return f'one {noun}' if number == 1 else f'{number} {noun}s'


def name_blocks(blocks_per_stage: Sequence[int]) -> list[str]:
    """'stage.block' of each bit, counted from 1.

    >>> name_blocks((2, 1))
    ['1.1', '1.2', '2.1']
    """
    return [f'{stage}.{block}' for stage, count in enumerate(blocks_per_stage, 1) for block in range(1, count + 1)]


def join_words(words: Sequence[str]) -> str:
    """Words as a sentence lists them.

    >>> join_words(['a', 'b', 'c'])
    'a, b and c'
    """
    return words[0] if len(words) == 1 else f'{", ".join(words[:-1])} and {words[-1]}'


def describe_stages(scheme: ConnectionScheme) -> str:
    """Which blocks of which stage are connected, in words.

    >>> describe_stages(ConnectionScheme.from_string('101 000 11'))
    'blocks 1 and 3 of stage 1, none of stage 2, all of stage 3'
    """
    return ', '.join(_describe_stage(number, bits) for number, bits in enumerate(scheme.stages, 1))


def _describe_stage(number: int, bits: Sequence[bool]) -> str:
    chosen = [str(index) for index, bit in enumerate(bits, 1) if bit]
    if not chosen or len(chosen) == len(bits):
        return f'{"all" if chosen else "none"} of stage {number}'
    return f'block{"s" if len(chosen) > 1 else ""} {join_words(chosen)} of stage {number}'

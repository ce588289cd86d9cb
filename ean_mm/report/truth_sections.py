"""Does the search tell the truth? Effects of blocks, networks from scratch, fidelity of the ranking, other seeds."""

from __future__ import annotations

from collections.abc import Sequence

from .parts import Block, Diagram, Part, Table, Text
from .plots import Axis, Bar, Bars, Plot, Series
from .records import Comparison, Effects, Fidelity
from .wording import (
    DASH,
    count_of,
    digits_for,
    name_blocks,
    spell_count,
    spell_interval,
    spell_macs,
    spell_ms,
    spell_share,
)
from .work_files import WorkFiles

NUM_PAIRS = 8
TAU_NAMES = {
    'recalibrated': 'supernet, recalibrated',
    'raw': 'supernet, raw statistics',
    'perfect': 'scores without any error would reach',
    'ceiling': 'one seed against another',
    'gain': 'gained by recalibration',
}


def show_effects(work: WorkFiles) -> Sequence[Part]:
    """What flipping each bit of the ticket does, what each block contributes, and which pairs matter."""
    effects = work.effects
    if effects is None or not (effects.flips or effects.shapley or effects.pairs):
        return []
    work.require_layout('effects.json', effects.scheme)
    names = name_blocks(effects.scheme.blocks_per_stage)
    unit = f'in units of {work.metric}'
    charts = [
        ("Flip one block of the ticket: the metric then, less the ticket's", _draw_flips(effects, names)),
        (
            'What each block contributes on average (Shapley estimate); bold: connected in the ticket',
            _draw_shapley(effects, names),
        ),
        ('Strongest pairs: what two blocks do together beyond what each does', _draw_pairs(effects, names)),
    ]
    text = (
        f'Effects {unit}, from {spell_count(effects.num_scores)} scored schemes; 95 % intervals where there are any. A flip '
        'below zero says that the ticket is right about the block.'
    )
    return [Text(text), *(Bars.around(caption, unit, bars, zero=0.0) for caption, bars in charts if bars)]


def _draw_flips(effects: Effects, names: Sequence[str]) -> list[Bar]:
    return [
        Bar(
            name=f'{names[each.bit]} {"on → off" if each.on else "off → on"}',
            value=each.difference,
            low=each.low,
            high=each.high,
            text=spell_interval(each.difference, each.low, each.high, 2),
            is_marked=each.on,
        )
        for each in effects.flips
    ]


def _draw_shapley(effects: Effects, names: Sequence[str]) -> list[Bar]:
    mask = effects.scheme.mask
    return [
        Bar(
            names[each.bit],
            each.effect,
            each.low,
            each.high,
            spell_interval(each.effect, each.low, each.high, 2),
            is_marked=bool(mask[each.bit]),
        )
        for each in effects.shapley
    ]


def _draw_pairs(effects: Effects, names: Sequence[str]) -> list[Bar]:
    strongest = sorted(effects.pairs, key=lambda pair: -abs(pair.effect))[:NUM_PAIRS]
    return [
        Bar(
            f'{names[pair.bits[0]]} with {names[pair.bits[1]]}',
            pair.effect,
            pair.low,
            pair.high,
            spell_interval(pair.effect, pair.low, pair.high, 2),
        )
        for pair in strongest
    ]


# -- from scratch ------------------------------------------------------------------------------------------------------


def show_comparison(work: WorkFiles) -> Sequence[Part]:
    """Networks trained from scratch by one recipe."""
    comparison = work.comparison
    if comparison is None or not comparison.rows:
        return []
    work.require_layout('comparison.json', *(scheme for row in comparison.rows for scheme in row.schemes))
    digits = digits_for([row.mean for row in comparison.rows])
    bars = [
        Bar(
            row.name,
            row.mean,
            row.low,
            row.high,
            spell_interval(row.mean, row.low, row.high, digits, sign=''),
            row.values,
            row.name == 'ticket',
        )
        for row in comparison.rows
    ]
    caption = (
        f'{count_of(len(comparison.seeds), "seed").capitalize()}: mean and its interval; small dots are single networks'
    )
    parts: list[Part] = [Text(comparison.sentence)] if comparison.sentence else []
    return [
        *parts,
        Bars.around(caption, comparison.metric, bars),
        *_draw_differences(comparison, digits),
        _cost(comparison),
    ]


def _draw_differences(comparison: Comparison, digits: int) -> list[Part]:
    bars = [
        Bar(each.name, each.mean, each.low, each.high, spell_interval(each.mean, each.low, each.high, digits))
        for each in comparison.differences
    ]
    return [Bars.around('Differences, seed by seed', f'difference in {comparison.metric}', bars, 0.0)] if bars else []


def _cost(comparison: Comparison) -> Table:
    rows = [
        (
            row.name,
            str(row.schemes[0]) if len(set(row.schemes)) == 1 else f'{len(set(row.schemes))} schemes',
            DASH if row.num_connected is None else f'{row.num_connected:g}',
            spell_count(row.params),
            spell_macs(row.macs),
            spell_ms(row.latency_ms),
        )
        for row in comparison.rows
    ]
    headers = ('', 'bits', 'connected', 'parameters', 'MACs', 'latency ms')
    marked = frozenset(i for i, row in enumerate(comparison.rows) if row.name == 'ticket')
    return Table(headers, rows, 'What they cost', marked, words=frozenset({1}))


# -- the ranking -------------------------------------------------------------------------------------------------------


def show_fidelity(work: WorkFiles) -> Sequence[Part]:
    """Rank correlation between the supernet's scores and those of networks trained alone."""
    fidelity = work.fidelity
    if fidelity is None:
        return []
    work.require_layout('fidelity.json', *(each.scheme for each in fidelity.schemes))
    bars = [
        Bar(
            TAU_NAMES.get(name, name),
            tau.value,
            tau.low,
            tau.high,
            spell_interval(tau.value, tau.low, tau.high, 2),
            is_marked=name == 'recalibrated',
        )
        for name, tau in fidelity.tau.items()
        if tau is not None and tau.value is not None
    ]
    parts: list[Part] = [Text(fidelity.sentence)] if fidelity.sentence else []
    if bars:
        parts.append(Bars.around("Kendall's tau: 1 the same order, 0 no relation", 'tau', bars, zero=0.0))
    text = (
        f'{len(fidelity.schemes)} schemes, {count_of(len(fidelity.seeds), "seed")}'
        f'{f", {fidelity.epochs} epochs each" if fidelity.epochs else ""}. Networks trained alone differ from seed to seed, so '
        'that even scores without any error would not reach 1.'
    )
    return [*parts, *_scatter(fidelity), Text(text, 'note')] if parts or fidelity.schemes else []


def _scatter(fidelity: Fidelity) -> list[Plot]:
    known = [each for each in fidelity.schemes if each.supernet is not None and each.stand_alone]
    if len(known) < 2:
        return []
    points = [(each.supernet or 0.0, sum(each.stand_alone) / len(each.stand_alone)) for each in known]
    xs, ys = zip(*points, strict=True)
    titles = [f'{each.scheme}: {x:.2f}, trained {y:.2f}' for each, (x, y) in zip(known, points, strict=True)]
    alt = f'{len(points)} schemes, supernet score from {min(xs):g} to {max(xs):g}, trained from {min(ys):g} to {max(ys):g}.'
    x = Axis.around(f'supernet {fidelity.metric}, recalibrated', xs)
    y = Axis.around(f'trained alone, {count_of(len(fidelity.seeds), "seed")}', ys)
    return [Plot('Each scheme', alt, x, y, [Series('', 'scheme', points, titles)])]


def show_ratios(work: WorkFiles) -> Sequence[Part]:
    """The pilot study: random schemes at several shares of connected blocks, trained from scratch."""
    ratios = work.ratios
    if ratios is None or not ratios.rows:
        return []
    work.require_layout('ratios.json', *(each.scheme for row in ratios.rows for each in row.schemes))
    points = [(float(row.num_connected), each) for row in ratios.rows for each in row.schemes]
    digits = digits_for([each.mean for _, each in points])
    dots = [(x, each.mean) for x, each in points]
    titles = [f'{each.scheme}: {each.mean:.{digits}f}' for _, each in points]
    means = [(float(row.num_connected), row.mean) for row in ratios.rows]
    series = [Series('scheme', 'scheme', dots, titles), Series('mean of a size', 'best', means, is_line=True)]
    alt = ', '.join(f'{row.num_connected} connected {row.mean:.{digits}f}' for row in ratios.rows)
    x = Axis.around('connected blocks', [place for place, _ in dots], is_whole=True)
    y = Axis.around(ratios.metric, [height for _, height in dots])
    table = [
        (
            str(row.num_connected),
            str(len(row.schemes)),
            spell_interval(row.mean, row.low, row.high, digits, sign=''),
            f'{min(each.mean for each in row.schemes):.{digits}f}',
            f'{max(each.mean for each in row.schemes):.{digits}f}',
            spell_ms(_mean([each.latency_ms for each in row.schemes])),
        )
        for row in ratios.rows
    ]
    headers = ('connected', 'schemes', f'{ratios.metric}, mean', 'worst', 'best', 'latency ms')
    plot = Plot(
        f'Each scheme, trained with {count_of(len(ratios.seeds), "seed")}', f'Mean by size: {alt}.', x, y, series
    )
    return [*([Text(ratios.sentence)] if ratios.sentence else []), plot, Table(headers, table)]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


# -- other seeds -------------------------------------------------------------------------------------------------------


def show_seeds(work: WorkFiles) -> Sequence[Part]:
    """Several searches of one supernet: do they agree?"""
    seeds = work.seeds
    if seeds is None:
        return []
    work.require_layout('seeds.json', *seeds.tickets)
    work.require_length('seeds.json', seeds.keep)
    layout = work.layout or (len(seeds.keep),)
    consensus = seeds.consensus.mask if seeds.consensus else [share > 0.5 for share in seeds.keep]
    blocks = [
        Block(bool(bit), share, f'{share:.2f}', f'block {name}, in {100 * share:.0f} % of the tickets')
        for bit, share, name in zip(consensus, seeds.keep, name_blocks(layout), strict=True)
    ]
    stages, start = [], 0
    for number, count in enumerate(layout, 1):
        stages.append((f'Stage {number}', blocks[start : start + count]))
        start += count
    pairs = zip(seeds.seeds, seeds.tickets, strict=False)
    rows = [(str(seed), str(scheme), str(scheme.num_connected)) for seed, scheme in pairs]
    parts: list[Part] = [Text(seeds.sentence)] if seeds.sentence else []
    if seeds.agreement is not None:
        parts.append(Text(f'Agreement per block: {spell_share(seeds.agreement)}.'))
    return [
        *parts,
        Diagram(stages, 'The consensus; number and strength of the fill: share of tickets that connect the block.'),
        Table(('seed', 'ticket', 'connected'), rows, words=frozenset({1})),
    ]

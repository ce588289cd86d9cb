"""The ticket itself: where it connects, and what that costs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ..structures import ConnectionScheme
from .parts import Block, Diagram, Part, Table, Text
from .plots import Bar, Bars
from .records import Costs, ResultRow
from .wording import (
    describe_stages,
    digits_for,
    name_blocks,
    spell_change,
    spell_count,
    spell_macs,
    spell_ms,
    spell_share,
)
from .work_files import WorkFiles, first_undamaged

NAMED = ('none', 'all', 'ticket')


def show_ticket(work: WorkFiles) -> Sequence[Part]:
    """The ticket by stage, tinted by how likely the strategy connects each block, or by the effect of flipping it."""
    ticket = work.ticket
    scheme = work.scheme if ticket is None else ticket.scheme
    if scheme is None:
        return []
    text = f'{scheme.num_connected} of {scheme.num_connections} blocks are connected: {describe_stages(scheme)}.'
    parts: list[Part] = [_draw(work, scheme), Text(text)]
    if ticket is not None:
        arguments = ', '.join(f'{name}={value}' for name, value in ticket.attention.items() if name != 'type')
        parts.append(
            Text(
                f'Backbone: {ticket.backbone}. Attention: {ticket.attention["type"]}'
                f'{f" ({arguments})" if arguments else ""}, one per {ticket.sharing}. Origin: {ticket.origin}.',
                'note',
            )
        )
        if ticket.notes:
            parts.append(Text(ticket.notes, 'note'))
    return parts


def _draw(work: WorkFiles, scheme: ConnectionScheme) -> Diagram:
    tints, values, caption = _tint(work, scheme)
    facts = _describe_sites(work, scheme)
    names = name_blocks(scheme.blocks_per_stage)
    blocks = [
        Block(bool(bit), tint, value, f'block {name}, {"connected" if bit else "not connected"}{value_of}{fact}')
        for bit, tint, value, name, fact, value_of in zip(
            scheme.mask, tints, values, names, facts, [f', {v}' if v else '' for v in values], strict=True
        )
    ]
    stages, start = [], 0
    for number, count in enumerate(scheme.blocks_per_stage, 1):
        stages.append((f'Stage {number}', blocks[start : start + count]))
        start += count
    return Diagram(stages, caption)


def _tint(work: WorkFiles, scheme: ConnectionScheme) -> tuple[list[float | None], list[str], str]:
    keep = first_undamaged(lambda: next((t.keep for t in reversed(work.timings) if t.keep), None))
    if keep and len(keep) == scheme.num_connections:
        caption = 'Number and strength of the fill: how likely the strategy connects the block in the end.'
        return list(keep), [f'{share:.2f}' for share in keep], caption
    effects = first_undamaged(lambda: work.effects)
    if effects and effects.scheme == scheme and effects.shapley:
        by_bit = {each.bit: each.effect for each in effects.shapley}
        most = max(map(abs, by_bit.values())) or 1.0
        tints = [abs(by_bit[bit]) / most if bit in by_bit else None for bit in range(scheme.num_connections)]
        values = [f'{by_bit[bit]:+.2f}' if bit in by_bit else '' for bit in range(scheme.num_connections)]
        return tints, values, 'Number and strength of the fill: what the block contributes (Shapley estimate).'
    return [None] * scheme.num_connections, [''] * scheme.num_connections, ''


def _describe_sites(work: WorkFiles, scheme: ConnectionScheme) -> list[str]:
    facts = [''] * scheme.num_connections
    results = first_undamaged(lambda: work.results)
    if results and results.shapes and len(results.shapes) == len(facts):
        facts = [f'{fact}, map {spell_shape(shape)}' for fact, shape in zip(facts, results.shapes, strict=True)]
    macs = (first_undamaged(lambda: work.costs) or {}).get('macs')
    if macs and len(macs.bits) == len(facts):
        facts = [f'{fact}, attention {spell_macs(bit)} MACs' for fact, bit in zip(facts, macs.bits, strict=True)]
    return facts


def spell_group(name: str) -> str:
    """A sharing group as a reader counts, from 1.

    >>> spell_group('stage0_block2'), spell_group('stage1')
    ('stage 1 block 3', 'stage 2')
    """
    return re.sub(r'(stage|block)(\d+)', lambda found: f'{found[1]} {int(found[2]) + 1}', name).replace('_', ' ')


def spell_shape(shape: Sequence[int]) -> str:
    """A map's shape.

    >>> spell_shape((16, 32, 32))
    '16 x 32 x 32'
    """
    return ' x '.join(map(str, shape))


# -- key numbers -------------------------------------------------------------------------------------------------------


def show_numbers(work: WorkFiles) -> Sequence[Part]:
    """none, all and the ticket, side by side; then the runners-up."""
    results = work.results
    if results is None or not results.rows:
        return []
    work.require_layout('results.json', *(row.scheme for row in results.rows))
    named = [row for name in NAMED for row in results.rows if row.name == name]
    digits = digits_for([row.metric for row in results.rows])
    quantities: list[tuple[str, Callable[[ResultRow], str]]] = [
        (f'supernet {results.metric}', lambda row: f'{row.metric:.{digits}f}'),
        ('reward', lambda row: f'{row.reward:.{digits}f}'),
        ('connected', lambda row: str(row.num_connected)),
        ('parameters', lambda row: spell_count(row.params)),
        ('MACs', lambda row: spell_macs(row.macs)),
        ('latency ms', lambda row: spell_ms(row.latency_ms)),
    ]
    if named and named[0].name == 'none' and named[0].latency_ms:
        quantities.append(('latency against none', lambda row: spell_change(row.latency_ms, named[0].latency_ms)))
    parts: list[Part] = [
        Table(
            ('', *(row.name for row in named)),
            [(name, *map(spell, named)) for name, spell in quantities],
        )
    ]
    if results.latency:
        parts.append(Text(f'Latency: {results.latency}; {results.device}.', 'note'))
    others = [row for row in results.rows if row.name not in NAMED]
    if others:
        headers = ('', 'bits', f'supernet {results.metric}', 'reward', 'connected', 'parameters', 'MACs')
        cells = [
            (
                row.name,
                str(row.scheme),
                f'{row.metric:.{digits}f}',
                f'{row.reward:.{digits}f}',
                str(row.num_connected),
                spell_count(row.params),
                spell_macs(row.macs),
            )
            for row in others
        ]
        parts.append(Table(headers, cells, 'Runners-up', words=frozenset({1})))
    return parts


# -- cost of each block ------------------------------------------------------------------------------------------------


def show_costs(work: WorkFiles) -> Sequence[Part]:
    """What connecting each block adds: MACs, element-wise work, latency; and how far predicted latencies are off."""
    costs, latency = work.costs, work.latency
    if work.layout is None or (not costs and latency is None):
        return []
    columns: dict[str, list[str]] = {'block': name_blocks(work.layout)}
    results = first_undamaged(lambda: work.results)
    if results and results.shapes:
        work.require_length('results.json', results.shapes)
        columns['map C, H, W'] = [spell_shape(shape) for shape in results.shapes]
    for name, header in (('macs', 'MACs'), ('elementwise', 'element-wise')):
        if name in costs:
            work.require_length('costs.json', costs[name].bits)
            columns[header] = [spell_macs(bit) for bit in costs[name].bits]
    if latency is not None:
        work.require_length('latency.json', latency.sites_ms)
        columns['latency ms'] = [f'{milliseconds:+.3f}' for milliseconds in latency.sites_ms]
    marked = frozenset(i for i, bit in enumerate(work.scheme.mask) if bit) if work.scheme else frozenset()
    caption = 'What connecting a block adds, for one image; blocks of the ticket are marked'
    table = Table(list(columns), list(zip(*columns.values(), strict=True)), caption, marked)
    return [table, *_describe_groups(costs), *_check_latency(work)]


def _describe_groups(costs: Mapping[str, Costs.Cost]) -> list[Part]:
    if 'params' not in costs or not costs['params'].group_costs:
        return []
    groups = (f'{spell_group(name)} {spell_count(params)}' for name, params in costs['params'].group_costs.items())
    return [Text(f'Parameters are paid once per group that has a connected block: {", ".join(groups)}.', 'note')]


def _check_latency(work: WorkFiles) -> list[Part]:
    latency = work.latency
    if latency is None:
        return []
    text = f'Latency of one image on {latency.device}: {spell_ms(latency.bare_ms)} ms with no attention, plus what is above.'
    if latency.median_error is None:
        return [Text(text, 'note')]
    text += (
        f' Checked on {len(latency.check)} random schemes: the sum is off by {spell_share(latency.median_error)} in the '
        f'median and by {spell_share(latency.largest_error)} at worst'
    )
    if latency.median_added_error is not None:
        text += f'; of what all connections add, that is {spell_share(latency.median_added_error)} and '
        text += spell_share(latency.largest_added_error)
    text += '.'
    bars = [
        Bar(
            name=str(each.scheme),
            value=100 * (each.predicted_ms / each.measured_ms - 1) if each.measured_ms else 0.0,
            low=None,
            high=None,
            text=f'{spell_ms(each.measured_ms)} measured, {spell_ms(each.predicted_ms)} predicted',
        )
        for each in latency.check
    ]
    caption = 'By how many percent the predicted latency is off'
    return [Text(text, 'note'), *([Bars.around(caption, 'milliseconds', bars, zero=0.0)] if bars else [])]

"""How the search went: its history against chance, what the strategy came to believe, the front, and the work it took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from ..structures import ConnectionScheme, DamagedFileError
from .baseline import expected_best
from .parts import Facts, Part, Table, Text
from .plots import Axis, Heat, Plot, Series
from .records import Front, Score, Timing
from .wording import DASH, digits_for, name_blocks, spell_count, spell_macs, spell_ms, spell_seconds, spell_share
from .work_files import WorkFiles, first_undamaged

SEARCHED = ('control', 'warm', 'proposal')  # 'probe' and 'random' come after the search
MAX_COLUMNS = 60


def show_history(work: WorkFiles) -> Sequence[Part]:
    """Reward of every scheme in the order of scoring, the best so far, and what chance would have found."""
    scores = [score for score in work.scores if score.reward is not None]
    full = [score for score in scores if score.is_full and score.role in SEARCHED]
    if not full:
        return []
    shown = [score for score in scores if score.role != 'random']
    searched = [index for index, score in enumerate(shown, 1) if score.role in SEARCHED]
    baseline, text = _draw_chance(work, scores, len(searched))
    series = [
        *_draw_scores(shown),
        *baseline,
        Series('best so far', 'best', _running_best(shown), is_line=True, is_stepped=True),
        *_mark(work, shown),
    ]
    verticals = [(searched[-1] + 0.5, 'search ends')] if searched[-1] < len(shown) else []
    heights = [y for each in series for _, y in each.points]
    y = Axis.around('reward', _without_outliers(heights))
    x = Axis.around('distinct schemes scored', [1, len(shown)], is_whole=True)
    alt = f'The best reward goes from {full[0].reward:.2f} to {max(s.reward or 0 for s in full):.2f} in {len(shown)} schemes.'
    plot = Plot('Reward of each scheme', alt, x, y, series, verticals)
    return [plot, Text(text, 'note'), *_describe_cut(heights, y)]


def _draw_scores(shown: Sequence[Score]) -> list[Series]:
    kinds = (('scheme', 'scheme', True), ('dropped (estimate)', 'estimate', False))
    found = []
    for name, style, is_full in kinds:
        chosen = [(i, score) for i, score in enumerate(shown, 1) if score.is_full == is_full]
        titles = [f'{score.scheme}: reward {score.reward:.2f}, {score.role}' for _, score in chosen]
        if chosen:
            found.append(Series(name, style, [(i, score.reward or 0.0) for i, score in chosen], titles))
    return found


def _running_best(shown: Sequence[Score]) -> list[tuple[float, float]]:
    rewards = [score.reward or 0.0 if score.is_full else -np.inf for score in shown]
    best = np.maximum.accumulate(rewards)
    return [(float(i), float(value)) for i, value in enumerate(best, 1) if np.isfinite(value)]


def _mark(work: WorkFiles, shown: Sequence[Score]) -> list[Series]:
    for i, score in enumerate(shown, 1):
        if score.scheme == work.scheme and score.is_full:
            return [
                Series('ticket', 'ticket', [(i, score.reward or 0.0)], [f'ticket {score.scheme}: {score.reward:.2f}'])
            ]
    return []


def _draw_chance(work: WorkFiles, scores: Sequence[Score], num_searched: int) -> tuple[list[Series], str]:
    """What random draws find that begin with the same controls, and where the numbers are from."""
    controls = {score.scheme: score.reward or 0.0 for score in scores if score.role == 'control' and score.is_full}
    name, values, text = _find_draws(work, scores, set(controls))
    if not values:
        return [], text
    num_draws = min(len(values), max(num_searched - len(controls), 1))
    start = max(controls.values(), default=-np.inf)
    expected = expected_best(np.maximum(values, start).tolist(), num_draws)
    points = [(float(i), float(value)) for i, value in enumerate(expected, len(controls) + 1)]
    return [Series(name, 'random', points, is_line=True)], text


def _find_draws(work: WorkFiles, scores: Sequence[Score], controls: set) -> tuple[str, list[float], str]:
    """Rewards of schemes that chance could draw: of all there are, or of a sample; and what is to be said of them."""
    try:
        every, problem = work.atlas_rewards, ''
    except DamagedFileError as err:
        every, problem = {}, f' {err}'
    if every:
        text = (
            'Random search: the expected best of so many different schemes, beginning with the same controls. It is exact, '
            f'because all {len(every):,} schemes have a score (atlas.csv).'
        )
        return 'random search (exact)', [reward for each, reward in every.items() if each not in controls], text
    sample = _find_sample(work, scores)
    if not sample:
        return '', [], f'No random baseline is drawn, because no random scheme was scored.{problem}'
    text = (
        "Random: the expected best of so many random schemes of the ticket's size, beginning with the same controls, "
        f'estimated without bias from the {len(sample)} that have a score. The line ends there, because more draws were '
        f'not made. A search that draws blindly would not know this size.{problem}'
    )
    return "random, ticket's size (estimate)", sample, text


def _find_sample(work: WorkFiles, scores: Sequence[Score]) -> list[float]:
    """Rewards of the random schemes; those that the search had scored before are in the verdict alone."""
    verdict = first_undamaged(lambda: work.verdict)
    if verdict is not None:
        listed = [control.reward for control in verdict.controls if control.name.startswith('random')]
        if listed and None not in listed:
            return [reward for reward in listed if reward is not None]
    return [score.reward or 0.0 for score in scores if score.role == 'random' and score.is_full]


def _without_outliers(heights: Sequence[float]) -> list[float]:
    """Heights to make room for: very low ones would press the rest into a line."""
    first, top = float(np.quantile(heights, 0.25)), max(heights)
    return [height for height in heights if height >= first - 3 * (top - first)] or [top]


def _describe_cut(heights: Sequence[float], axis: Axis) -> list[Part]:
    below = sum(height < axis.low for height in heights)
    return [Text(f'{below} points lie below the picture and are drawn at its edge.', 'note')] if below else []


# -- what the strategy believes ----------------------------------------------------------------------------------------


def show_keep(work: WorkFiles) -> Sequence[Part]:
    """How likely the strategy connects each block, step by step."""
    steps = [timing.keep for timing in work.timings if timing.keep]
    if not steps:
        return []
    for keep in steps:
        work.require_length('timing.jsonl', keep)
    layout = work.layout or (len(steps[0]),)
    if len({len(keep) for keep in steps}) > 1:
        raise ValueError('`timing.jsonl` must hold as many probabilities in every step, but got different numbers.')
    parts = np.array_split(np.array(steps), min(MAX_COLUMNS, len(steps)))
    columns = np.array([part.mean(axis=0) for part in parts])
    names = name_blocks(layout)
    rows = [(name, [round(float(p), 2) for p in columns[:, i]], f'{steps[-1][i]:.2f}') for i, name in enumerate(names)]
    edges = frozenset(int(edge) for edge in np.cumsum(layout)[:-1])
    sure = [f'{name} {last}' for name, _, last in rows]
    alt = f'Probability of each block at the end: {", ".join(sure)}.'
    title = 'How likely each block is connected: pale 0, dark 1; the number is the last one'
    averaged = (
        f' A column is the mean of about {len(steps) / len(columns):.0f} steps.' if len(columns) < len(steps) else ''
    )
    return [
        Heat(title, alt, rows, 'first step', f'step {len(steps)}', edges),
        Text(f'Rows are blocks (stage.block).{averaged}', 'note'),
    ]


# -- the front ---------------------------------------------------------------------------------------------------------


def show_front(work: WorkFiles) -> Sequence[Part]:
    """Metric against latency, and the best scheme for every number of connections."""
    front = work.front
    if front is None or not front.best_per_size:
        return []
    work.require_layout(
        'front.json', *(size.scheme for size in (*front.best_per_size, *front.front_points)), *front.front
    )
    best, edge = {size.scheme: size for size in front.best_per_size}, {size.scheme: size for size in _edge(front)}
    sizes = sorted({**edge, **best}.values(), key=lambda size: (size.num_connected, -size.metric))
    digits = digits_for([size.metric for size in sizes])
    headers = ('connected', 'bits', front.metric, 'params', 'MACs', 'latency ms', 'best of', 'ticket file')
    rows = [
        (
            str(size.num_connected),
            str(size.scheme),
            f'{size.metric:.{digits}f}',
            spell_count(size.params),
            spell_macs(size.macs),
            spell_ms(size.latency_ms),
            ', '.join(name for name, group in (('size', best), ('front', edge)) if size.scheme in group),
            size.ticket or DASH,
        )
        for size in sizes
    ]
    marked = frozenset(i for i, size in enumerate(sizes) if size.scheme == work.scheme)
    caption = (
        'The best scored scheme of each size, and the front; the ticket is marked. Each file is a ticket to retrain.'
    )
    table = Table(headers, rows, caption, marked, words=frozenset({1, 6, 7}))
    cost = 'latency' if front.front_cost == 'latency' else 'MACs'
    text = f'The front holds the schemes that no other scored scheme beats in both metric and {cost}.'
    return [*_draw_front(work, front), Text(text, 'note'), table]


def _draw_front(work: WorkFiles, front: Front) -> list[Plot]:
    """The front in the cost that it is a front of."""
    best, edge = (
        [spot for size in sizes if (spot := _place(front, size))] for sizes in (front.best_per_size, _edge(front))
    )
    points = dict([*best, *edge])
    if len(points) < 2:
        return []
    series = [Series('scheme', 'scheme', list(points.values()), list(map(str, points)))]
    if edge:
        series.append(Series('front', 'best', sorted(spot for _, spot in edge), is_line=True, is_stepped=True))
    layout = front.best_per_size[0].scheme.blocks_per_stage
    named = {'none': ConnectionScheme.none(layout), 'all': ConnectionScheme.all(layout), 'ticket': work.scheme}
    for name, scheme in named.items():
        if scheme in points:
            series.append(Series(name, name, [points[scheme]], [f'{name}, {scheme}: {points[scheme][1]:g}']))
    xs, ys = zip(*points.values(), strict=True)
    unit = 'ms' if front.front_cost == 'latency' else 'M'
    alt = f'{len(edge)} schemes on the front, from {min(xs):.2f} to {max(xs):.2f} {unit}, {front.metric} up to {max(ys):g}.'
    name = 'latency of one image, ms' if front.front_cost == 'latency' else 'MACs of one image, millions'
    return [Plot(f'Metric against {name}', alt, Axis.around(name, xs), Axis.around(front.metric, ys), series)]


def _edge(front: Front) -> Sequence[Front.Size]:
    """The schemes of the front; those that are no size's best stand among the points alone."""
    return front.front_points or [size for size in front.best_per_size if size.scheme in front.front]


def _place(front: Front, size: Front.Size) -> tuple[ConnectionScheme, tuple[float, float]] | None:
    cost = size.latency_ms if front.front_cost == 'latency' else None if size.macs is None else size.macs / 1e6
    return None if cost is None else (size.scheme, (cost, size.metric))


# -- work --------------------------------------------------------------------------------------------------------------


def show_work(work: WorkFiles) -> Sequence[Part]:
    """What was computed, what was not because something else had it already, and how long it took."""
    timings = work.timings
    if not timings:
        return []
    total = {name: _total(timings, name) for name in ('block_images', 'naive_block_images', 'remembered', 'dropped')}
    seconds, scoring = (sum(getattr(t, name) for t in timings) for name in ('seconds', 'scoring'))
    proposals, scored = sum(t.proposals for t in timings), sum(t.scored for t in timings)
    pairs = [
        ('schemes asked for', spell_count(proposals)),
        (
            'schemes scored',
            f'{spell_count(scored)}; the other {spell_count(max(proposals - scored, 0))} had a score already',
        ),
        ('looked up from earlier searches', spell_count(total['remembered'])),
        ('dropped early with an estimate', spell_count(total['dropped'])),
    ]
    if total['naive_block_images']:
        share = total['block_images'] / total['naive_block_images']
        pairs.append(('residual branches run, times images', spell_macs(total['block_images'])))
        pairs.append(
            (
                'the same, scheme by scheme',
                f'{spell_macs(total["naive_block_images"])}; computed {spell_share(share)} of it',
            )
        )
    pairs.append(('time of the search', f'{spell_seconds(seconds)}, {spell_seconds(scoring)} of it scoring'))
    if peak := max(timing.peak_bytes for timing in timings):
        pairs.append(('activations held at most', f'{peak / 2**20:,.0f} MiB'))
    return [Facts(pairs)]


def _total(timings: Iterable[Timing], name: str) -> int:
    """The total of a count that begins at 0 in every process and grows within one."""
    counts = [0, *(getattr(timing, name) for timing in timings)]
    return sum(after - before if after >= before else after for before, after in pairwise(counts))

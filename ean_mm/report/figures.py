"""The charts of the page as PNG files, for papers and slides. Unlike the page itself, this imports torch and matplotlib."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from ..structures import ConnectionScheme, write_atomically
from ..visualization import (
    ComparisonBar,
    ControlPoint,
    EffectBar,
    FrontScheme,
    draw_effects,
    draw_front,
    draw_keep,
    draw_verdict,
)
from .records import Effects, Front
from .work_files import WorkFiles, first_undamaged

FOLDER = 'report'


def draw_pictures(work_dir: str | os.PathLike) -> list[Path]:
    """Draw ``verdict.png``, ``effects.png``, ``keep.png`` and ``front.png`` into ``report/`` of a work directory.

    Nothing is drawn of a file that is missing or damaged.

    Raises:
        ValueError: if ``work_dir`` is no folder.
        OSError: if a file cannot be written.
    """
    work = WorkFiles(work_dir)
    drawings = dict(verdict=_draw_verdict, effects=_draw_effects, keep=_draw_keep, front=_draw_front)
    paths = []
    for name, draw in drawings.items():
        figure = first_undamaged(_bind(draw, work))
        if figure is not None:
            paths.append(_save(figure, work.directory / FOLDER / f'{name}.png'))
    return paths


def _bind(draw: Callable[[WorkFiles], Figure | None], work: WorkFiles) -> Callable[[], Figure | None]:
    return lambda: draw(work)


def _save(figure: Figure, path: Path) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=110)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, buffer.getvalue())
    return path


def _draw_verdict(work: WorkFiles) -> Figure | None:
    verdict = work.verdict
    if verdict is None:
        return None
    ticket = next((score.metric for score in work.scores if score.scheme == verdict.ticket and score.is_full), None)
    bars = [
        ComparisonBar(each.name, each.difference, each.low, each.high, each.chosen_difference)
        for each in verdict.comparisons
        if each.difference is not None and each.low is not None and each.high is not None
        if each.chosen_difference is not None
    ]
    if ticket is None or not bars:
        return None
    points = [ControlPoint(control.name, control.metric) for control in verdict.controls]
    return draw_verdict(points, ticket, bars, verdict.metric, verdict.sentence)


def _draw_effects(work: WorkFiles) -> Figure | None:
    effects = work.effects
    if effects is None:
        return None
    flips = _to_bars({each.bit: (each.difference, each.low, each.high) for each in effects.flips}, effects)
    shapley = _to_bars({each.bit: (each.effect, each.low, each.high) for each in effects.shapley}, effects)
    if flips is None or shapley is None:
        return None
    return draw_effects(flips, shapley, effects.scheme.blocks_per_stage, effects.scheme.mask, work.metric)


def _to_bars(numbers: dict[int, tuple[float, float | None, float | None]], effects: Effects) -> list[EffectBar] | None:
    """A bar per block; None unless each is known."""
    if set(numbers) != set(range(effects.scheme.num_connections)):
        return None
    found = [numbers[bit] for bit in sorted(numbers)]
    return [EffectBar(v, v if low is None else low, v if high is None else high) for v, low, high in found]


def _draw_keep(work: WorkFiles) -> Figure | None:
    steps = [timing.keep for timing in work.timings if timing.keep]
    scheme = work.scheme
    if not steps or scheme is None or {len(keep) for keep in steps} != {scheme.num_connections}:
        return None
    return draw_keep(steps, scheme.blocks_per_stage, scheme.mask)


def _draw_front(work: WorkFiles) -> Figure | None:
    front = work.front
    if front is None or not front.best_per_size:
        return None
    best = {size.scheme for size in front.best_per_size}
    edge = {size.scheme for size in front.front_points} or set(front.front)
    found: dict[ConnectionScheme, FrontScheme] = {}
    for size in (*front.best_per_size, *front.front_points):
        cost = _cost(front, size)
        if cost is not None:
            on = size.scheme
            found[on] = FrontScheme(size.num_connected, size.metric, cost, on in best, on in edge)
    layout = front.best_per_size[0].scheme.blocks_per_stage
    named = {'none': ConnectionScheme.none(layout), 'all': ConnectionScheme.all(layout), 'ticket': work.scheme}
    marked = {name: found[scheme] for name, scheme in named.items() if scheme in found}
    label = 'latency of one image (ms)' if front.front_cost == 'latency' else 'MMACs of one image'
    return draw_front(list(found.values()), marked, front.metric, label) if found else None


def _cost(front: Front, size: Front.Size) -> float | None:
    if front.front_cost == 'latency':
        return size.latency_ms
    return None if size.macs is None else size.macs / 1e6

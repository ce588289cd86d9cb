"""All schemes of a small space, scored once: a table that any strategy can be replayed on."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from ..analysis import CostTable
from ..evaluation import RememberedScores
from ..search import Reward, rank_scheme
from ..structures import ConnectionScheme, write_atomically

MAX_SITES = 14
CHUNK = 64
COLUMNS = ('scheme', 'connected', 'metric', 'reward', 'params', 'macs', 'elementwise')


def list_schemes(blocks_per_stage: tuple[int, ...]) -> list[ConnectionScheme]:
    """Every scheme of a layout, neighbours agreeing on the longest prefixes.

    Raises:
        ValueError: if there are more than ``2 ** MAX_SITES``.
    """
    num_sites = sum(blocks_per_stage)
    if num_sites > MAX_SITES:
        raise ValueError(
            f'`score_all` must be off beyond {MAX_SITES} sites, but got on with {num_sites}, '
            f'which are {2**num_sites:,} schemes.'
        )
    return list(ConnectionScheme.every(blocks_per_stage))


def score_atlas(
    schemes: list[ConnectionScheme], scores: RememberedScores, show: Callable[[int, str], None]
) -> dict[ConnectionScheme, float]:
    """Score schemes that have no score yet, a chunk at a time: what is done is remembered, whatever ends the process.

    Args:
        schemes: what to score.
        scores: looks up and computes.
        show: called after each chunk with the number of schemes done and a text.
    """
    metrics: dict[ConnectionScheme, float] = {}
    for start in range(0, len(schemes), CHUNK):
        chunk = schemes[start : start + CHUNK]
        measured = scores.score_many(chunk)
        metrics |= {scheme: each.metric for scheme, each in zip(chunk, measured, strict=True)}
        show(len(metrics), f'best metric {max(metrics.values()):.2f}')
    return metrics


def write_atlas(path: Path, metrics: dict[ConnectionScheme, float], reward: Reward, costs: CostTable) -> None:
    """Write a table with one row per scheme, best reward first."""
    rows = [
        (float(reward(metric, scheme.mask)), scheme, metric, costs.cost(scheme)) for scheme, metric in metrics.items()
    ]
    rows.sort(key=lambda row: rank_scheme(row[1], row[0]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for value, scheme, metric, cost in rows:
        writer.writerow((scheme, scheme.num_connected, metric, value, cost.params, cost.macs, cost.elementwise))
    write_atomically(path, text.getvalue().encode())

"""Schemes that a ticket has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np

from ..search.masks import every_mask
from ..structures import ConnectionScheme

NUM_RANDOM = 20


def choose_controls(
    blocks_per_stage: Sequence[int],
    ticket: ConnectionScheme,
    seed: int,
    fixed: Mapping[int, bool] | None = None,
    num_random: int = NUM_RANDOM,
) -> dict[str, ConnectionScheme]:
    """Choose none, all, the last stage, every other block, and random schemes of the ticket's size.

    Limits on cost do not apply to controls; fixed bits apply to the random ones. A control that equals one before it is left
    out, the ticket itself is not: a ticket may be 'all'.

    Args:
        blocks_per_stage: layout of the schemes.
        ticket: never among the random ones.
        seed: of the choice.
        fixed: bits that are not free, by their numbers.
        num_random: how many random ones; fewer if there are no more.

    Returns:
        Schemes by name: 'none', 'all', 'last stage', 'every other', 'random 1', ...

    >>> controls = choose_controls((2, 2), ConnectionScheme.from_string('10 00'), seed=0)
    >>> {name: str(scheme) for name, scheme in controls.items() if 'random' not in name}
    {'none': '00 00', 'all': '11 11', 'last stage': '00 11', 'every other': '10 10'}
    >>> sorted(str(scheme) for name, scheme in controls.items() if 'random' in name)
    ['00 01', '00 10', '01 00']
    """
    layout = tuple(blocks_per_stage)
    num = sum(layout)
    last = np.arange(num) >= num - layout[-1]
    masks = {
        'none': np.zeros(num, bool),
        'all': np.ones(num, bool),
        'last stage': last,
        'every other': np.arange(num) % 2 == 0,
    }
    named: dict[str, ConnectionScheme] = {}
    for name, mask in masks.items():
        scheme = ConnectionScheme.from_mask(mask, layout)
        if scheme not in named.values():
            named[name] = scheme
    peers = choose_random(layout, ticket.num_connected, seed, fixed, num_random, without=ticket)
    return named | {f'random {number}': peer for number, peer in enumerate(peers, 1)}


def choose_random(
    blocks_per_stage: Sequence[int],
    size: int,
    seed: int,
    fixed: Mapping[int, bool] | None = None,
    num: int = NUM_RANDOM,
    without: ConnectionScheme | None = None,
) -> list[ConnectionScheme]:
    """Draw different schemes with ``size`` connections; all there are if these are no more than ``num``.

    Args:
        blocks_per_stage: layout of the schemes.
        size: how many connections.
        seed: of the choice.
        fixed: bits that are not free, by their numbers.
        num: how many schemes.
        without: a scheme that is not wanted.
    """
    layout = tuple(blocks_per_stage)
    fixed = dict(fixed or {})
    free = np.array([bit for bit in range(sum(layout)) if bit not in fixed])
    num_on = size - sum(fixed.values())
    if not 0 <= num_on <= len(free):
        return []
    template = np.array([fixed.get(bit, False) for bit in range(sum(layout))])
    generator = np.random.default_rng([seed, size])
    chosen = _choose_subsets(len(free), num_on, num + 1, generator)
    schemes = []
    for subset in chosen:
        mask = template.copy()
        mask[free[subset]] = True
        schemes.append(ConnectionScheme.from_mask(mask, layout))
    return [scheme for scheme in schemes if scheme != without][:num]


def count_of_size(num_connections: int, size: int, fixed: Mapping[int, bool] | None = None) -> int:
    """How many schemes with ``size`` connections there are."""
    fixed = dict(fixed or {})
    num_on = size - sum(fixed.values())
    return comb(num_connections - len(fixed), num_on) if num_on >= 0 else 0


def _choose_subsets(num: int, num_on: int, count: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Different subsets of ``num`` positions, each with ``num_on``, in random order; all if there are no more."""
    total = comb(num, num_on)
    if total <= count and num <= 20:
        masks = every_mask(num)
        listed = masks[masks.sum(1) == num_on]
        return [np.flatnonzero(listed[row]) for row in generator.permutation(len(listed))]
    chosen: dict[tuple[int, ...], None] = {}
    while len(chosen) < min(count, total):
        chosen.setdefault(tuple(sorted(generator.permutation(num)[:num_on].tolist())))
    return [np.array(subset, dtype=int) for subset in chosen]

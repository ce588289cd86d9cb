"""Several searches of one supernet that differ in the seed of their strategy: do they agree?"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from rich.table import Table

from ..hooks.page import write_page
from ..hooks.search_hook import SCORES_FILE
from ..hooks.supernet_hook import SUPERNET_FILE
from ..structures import ConnectionScheme, Ticket, write_atomically
from ..structures.checks import require_whole
from ..visualization import to_text
from .arguments import find_search_hook

SEEDS_FILE = 'seeds.json'
CONSENSUS_FILE = 'consensus.json'
FOLDER = 'seeds'
STABLE = 0.6  # of the agreement that there could be beyond chance, as in Landis and Koch: substantial


@dataclass(frozen=True)
class Agreement:
    """How much the tickets of several searches have in common.

    Attributes:
        seeds: of the strategies, at least two.
        schemes: what each search found, in the same order.

    >>> one, other = (ConnectionScheme.from_string(text) for text in ('11 00', '11 01'))
    >>> agreement = Agreement((0, 1), (one, other))
    >>> agreement.keep.tolist(), agreement.agreement, str(agreement.consensus)
    ([1.0, 1.0, 0.0, 0.5], 0.75, '11 00')
    """

    seeds: tuple[int, ...]
    schemes: tuple[ConnectionScheme, ...]

    @cached_property
    def keep(self) -> np.ndarray:
        """In which share of the tickets each block is connected, (n,)."""
        return np.mean([scheme.mask for scheme in self.schemes], axis=0)

    @property
    def agreement(self) -> float:
        """On which share of the blocks two tickets agree, mean over all pairs."""
        pairs = combinations([scheme.mask for scheme in self.schemes], 2)
        return float(np.mean([np.mean(one == other) for one, other in pairs]))

    @property
    def kappa(self) -> float:
        """Agreement beyond that of random tickets of the same mean density: 1 all the same, 0 as by chance (Fleiss' kappa)."""
        density = float(self.keep.mean())
        chance = density**2 + (1 - density) ** 2
        return 1.0 if chance == 1 else (self.agreement - chance) / (1 - chance)

    @property
    def is_stable(self) -> bool:
        """Whether the tickets agree far more than random ones would."""
        return self.kappa >= STABLE

    @property
    def consensus(self) -> ConnectionScheme:
        """Every block that more than half of the tickets connect."""
        return ConnectionScheme.from_mask(self.keep > 0.5, self.schemes[0].blocks_per_stage)

    @property
    def sentence(self) -> str:
        """What that means for the user."""
        common = (
            f'{len(self.seeds)} searches with seeds {", ".join(map(str, self.seeds))} agree on {self.agreement:.0%} of the '
            f'blocks (kappa {self.kappa:.2f})'
        )
        if len(set(self.schemes)) == 1:
            return f'{common}: they found the same ticket.'
        if self.is_stable:
            return f'{common}: the ticket hardly depends on the seed.'
        return (
            f'{common}: unstable, another seed finds another ticket; take the blocks that all connect for what is known, and '
            'search longer, or accept that several tickets are as good.'
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            'seeds': list(self.seeds),
            'tickets': [str(scheme) for scheme in self.schemes],
            'keep': self.keep.round(4).tolist(),
            'agreement': self.agreement,
            'kappa': self.kappa,
            'is_stable': self.is_stable,
            'consensus': str(self.consensus),
            'sentence': self.sentence,
        }


def search_seeds(cfg: Config, seeds: Sequence[int]) -> str:
    """Search with each seed of the strategy on one supernet, and return how much the tickets agree, as text.

    The first search is that of the config in its work directory; the others, in ``seeds/<seed>`` below it, take its supernet,
    its scores and its calibration images. Each resumes as every search does. ``seeds.json`` and, as a ticket that nobody has
    scored yet, ``consensus.json`` are left beside the first search.

    Args:
        cfg: with a SearchHook.
        seeds: at least two, all different.

    Raises:
        ValueError: if they are not, or the config has no SearchHook.
    """
    if len(seeds) < 2 or len(set(seeds)) != len(seeds):
        raise ValueError(f'`seeds` must be at least two different numbers, but got {list(seeds)!r}.')
    for seed in seeds:
        require_whole('seeds', seed, 0)
    directory = Path(cfg.work_dir)
    folders = {seed: directory if seed == seeds[0] else directory / FOLDER / str(seed) for seed in seeds}
    for seed, folder in folders.items():
        Runner.from_cfg(_config_of(cfg, seed, folder)).train()
    tickets = [Ticket.load(folder / 'ticket.json') for folder in folders.values()]
    agreement = Agreement(tuple(seeds), tuple(ticket.scheme for ticket in tickets))
    content = json.dumps(agreement.to_dict(), indent=2, allow_nan=False) + '\n'
    write_atomically(directory / SEEDS_FILE, content.encode())
    _make_consensus(tickets[0], agreement).save(directory / CONSENSUS_FILE)
    lines = [to_text(_draw(agreement, tickets)), agreement.sentence, f'Consensus: {directory / CONSENSUS_FILE}']
    return '\n'.join([*lines, *write_page(directory)])


def _config_of(cfg: Config, seed: int, folder: Path) -> Config:
    """The config of one of the searches; the first is the given one."""
    directory, cfg = Path(cfg.work_dir), copy.deepcopy(cfg)
    hook = find_search_hook(cfg)
    if seed != hook.get('seed', 0):
        hook.strategy.seed = seed
    if folder != directory:
        hook.supernet = hook.get('supernet') or str(directory / SUPERNET_FILE)
        hook.score_store = hook.get('score_store') or str(directory / SCORES_FILE)
        hook.update(score_all=False, verdict=False)
        cfg.work_dir = str(folder)
        cfg.resume, cfg.load_from = False, None
        cfg.experiment_name = str(folder)  # the default is the time in seconds, and runs that share it share their log
    return cfg


def _make_consensus(ticket: Ticket, agreement: Agreement) -> Ticket:
    fields = ticket.model_dump(include={'backbone', 'attention', 'sharing', 'supernet_sha256', 'versions'})
    notes = f'Blocks that most of the tickets of seeds {", ".join(map(str, agreement.seeds))} connect; not scored.'
    return Ticket(origin='given', scheme=agreement.consensus, notes=notes, **fields)


def _draw(agreement: Agreement, tickets: Sequence[Ticket]) -> Table:
    table = Table(title='Tickets of several seeds, on one supernet', title_justify='left')
    table.add_column('seed')
    table.add_column('ticket', no_wrap=True)
    table.add_column('on', justify='right')
    table.add_column('reward', justify='right')
    for seed, ticket in zip(agreement.seeds, tickets, strict=True):
        reward = ticket.metrics.get('reward')
        cell = '-' if reward is None else f'{reward:.2f}'
        table.add_row(str(seed), str(ticket.scheme), str(ticket.scheme.num_connected), cell)
    table.add_section()
    table.add_row('consensus', str(agreement.consensus), str(agreement.consensus.num_connected), '-')
    return table

"""A finished search, as far as trainings from scratch need it, and the schemes that they are about."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import comb
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ..hooks.retrain_config import RETRAIN_FILE
from ..hooks.search_outcome import COMPARISON_FOLDER, RESULTS_FILE
from ..structures import ConnectionScheme, Ticket
from .scheme_facts import SchemeFacts
from .trainings import Training, with_scheme

NAMES = ('none', 'all', 'ticket', 'random')
TICKET_FILE = 'ticket.json'
COMMON_FOLDER = 'common'  # what belongs to no single training
NUM_RANDOM = 10_000  # seeds further apart share a random scheme


@dataclass(frozen=True)
class FinishedSearch:
    """What a finished search left in its work directory.

    Attributes:
        directory: its work directory.
    """

    directory: Path

    @classmethod
    def open(cls, directory: Path) -> FinishedSearch:
        """The search of a work directory.

        Raises:
            ValueError: if there is none that has finished.
        """
        missing = [name for name in (RESULTS_FILE, RETRAIN_FILE, TICKET_FILE) if not (directory / name).is_file()]
        if missing:
            raise ValueError(
                f'`work_dir` must hold a finished search, but got {str(directory)!r} without '
                f'{" and ".join(missing)}; run tools/search.py first.'
            )
        return cls(directory)

    @cached_property
    def results(self) -> dict:
        """Content of results.json."""
        return json.loads((self.directory / RESULTS_FILE).read_text())

    @cached_property
    def retrain(self) -> Config:
        """The config that trains the ticket."""
        return Config.fromfile(self.directory / RETRAIN_FILE)

    @cached_property
    def ticket(self) -> ConnectionScheme:
        """The ticket's scheme."""
        return Ticket.load(self.directory / TICKET_FILE).scheme

    @property
    def metric(self) -> str:
        """Name of the metric that the search was for; higher is better."""
        return self.results['metric']

    @property
    def layout(self) -> tuple[int, ...]:
        """Blocks per stage."""
        return self.ticket.blocks_per_stage

    def supernet_score(self, scheme: ConnectionScheme) -> float | None:
        """What the supernet scored with a scheme, if it is among the results."""
        return {row['scheme']: row['metric'] for row in self.results['rows']}.get(str(scheme))

    def measure(self, schemes: Iterable[ConnectionScheme]) -> SchemeFacts:
        """Costs of schemes in the network that is retrained."""
        work_dir = self.directory / COMPARISON_FOLDER / COMMON_FOLDER
        facts = SchemeFacts(with_scheme(self.retrain, 'all'), work_dir)
        facts.measure(schemes)
        return facts

    def plan(self, name: str, scheme: ConnectionScheme, seed: int) -> Training:
        """The training of a scheme with the recipe of the retrain config."""
        cfg = self.retrain if name == 'ticket' else with_scheme(self.retrain, scheme)
        work_dir = self.directory / COMPARISON_FOLDER / f'{name.replace(" ", "")}_{seed}'
        return Training(name, scheme, cfg, work_dir, seed)


def read_name(text: str, search: FinishedSearch) -> str:
    """The name of a row: one of ``NAMES``, or a scheme with its stages apart.

    Bits may be given without spaces; a scheme that is none, all or the ticket goes by that name.

    Raises:
        ValueError: if it is neither.
    """
    if text in NAMES:
        return text
    if not set(text) <= set('01 ') or len(text.replace(' ', '')) != sum(search.layout):
        layout = '/'.join(map(str, search.layout))
        raise ValueError(f'`schemes` must be of {NAMES} or bits for {layout} blocks per stage, but got {text!r}.')
    bits = [letter == '1' for letter in text.replace(' ', '')]
    return name_scheme(ConnectionScheme.from_mask(bits, search.layout), search)


def name_scheme(scheme: ConnectionScheme, search: FinishedSearch) -> str:
    """What a scheme is called: 'none', 'all', 'ticket', or its bits."""
    layout = search.layout
    known = {search.ticket: 'ticket', ConnectionScheme.none(layout): 'none', ConnectionScheme.all(layout): 'all'}
    return known.get(scheme, str(scheme))


def find_scheme(name: str, search: FinishedSearch) -> ConnectionScheme:
    """The scheme of a name that stands for one."""
    return search.ticket if name == 'ticket' else ConnectionScheme.parse(name, search.layout)


def draw_other(scheme: ConnectionScheme, seed: int) -> ConnectionScheme | None:
    """A random scheme of the same size; None if there is no other.

    It is a function of scheme and seed. Seeds below ``NUM_RANDOM`` have different ones as long as there are enough.

    >>> ticket = ConnectionScheme.from_string('10 01')
    >>> sorted(str(draw_other(ticket, seed)) for seed in range(5))
    ['00 11', '01 01', '01 10', '10 10', '11 00']
    """
    num_others = comb(scheme.num_connections, scheme.num_connected) - 1
    if not num_others:
        return None
    generator = np.random.default_rng([scheme.num_connections, *map(int, scheme.mask)])
    others: dict[ConnectionScheme, None] = {}
    while len(others) <= seed % min(num_others, NUM_RANDOM):
        drawn = ConnectionScheme.from_mask(generator.permutation(scheme.mask), scheme.blocks_per_stage)
        if drawn != scheme:
            others[drawn] = None
    return list(others)[-1]

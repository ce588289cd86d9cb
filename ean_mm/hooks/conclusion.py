"""What a search adds when it has ended: a verdict on its ticket, its reasons, and the best scheme for every budget."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier
from mmengine.logging import print_log

from ..analysis import CostTable
from ..analysis.added_costs import build_added_costs
from ..analysis.conclusion import NUM_CANDIDATES, conclude
from ..analysis.controls import NUM_RANDOM
from ..analysis.effects import guess_best_of_size
from ..evaluation import RememberedScores
from ..models import EANBackbone
from ..search import Candidates, Evaluation, Reward, SearchLoop
from ..search.front_files import COSTS_FILE, FRONT_FILE, TICKET_FOLDER, write_front
from ..structures import ConnectionScheme, Ticket, write_atomically
from ..structures.paths import from_here
from ..structures.strict_json import read_strict_json
from .search_costs import find_latency_table

VERDICT_FILE = 'verdict.json'
EFFECTS_FILE = 'effects.json'
AFTERMATH_FILES = (VERDICT_FILE, EFFECTS_FILE, FRONT_FILE, COSTS_FILE, TICKET_FOLDER)
ROLES = ('probe', 'random')


def most_scored_afterwards(num_connections: int) -> int:
    """How many schemes are scored at most after a search: rivals, controls, flips, and what sizes lack."""
    num_rules = 4  # none, all, last stage, every other
    return NUM_CANDIDATES + NUM_RANDOM + num_rules + 2 * num_connections


@dataclass(frozen=True)
class Aftermath:
    """What is computed after the end of a search; it changes neither the ticket nor what a resumed search would do.

    Attributes:
        loop: the search, at its end.
        scores: scores and remembers.
        reward: makes a reward of a metric and a mask.
        costs: of the whole network.
        backbone: the wrapped backbone.
        run_one_image: runs the whole network once.
        make_ticket: makes a ticket of an evaluation.
        seed: of the choice of random schemes, and of intervals.
    """

    loop: SearchLoop
    scores: RememberedScores
    reward: Reward
    costs: CostTable
    backbone: EANBackbone
    run_one_image: Callable[[], object]
    make_ticket: Callable[[Evaluation], Ticket]
    seed: int

    def run(self, latency_table: str | None) -> list[str]:
        """Score controls, flips and what sizes lack, judge, and write ``verdict.json``, ``effects.json``, ``front.json``.

        On several ranks, all call it; rank 0 writes. Where memory runs out there is no verdict, and the log says so. What an
        earlier run of this very search has written is not computed again.

        Args:
            latency_table: file with the latency of each site, or None to measure it.

        Returns:
            Lines for the end of the search; empty if there is no ticket.
        """
        if self.loop.best is None:
            return []
        directory = self.loop.record.directory
        try:
            written = None if latency_table else self._find_written(self.loop.best, directory)
            return _describe(*(written or self._conclude(self.loop.best, latency_table)), directory)
        except torch.cuda.OutOfMemoryError as err:
            print_log(
                f'No verdict: memory ran out ({err}); ticket and results are there. Run the same command again with a smaller '
                'activation_budget, or batch_size of val_dataloader.',
                logger='current',
                level=logging.WARNING,
            )
            return []

    def _find_written(self, best: Evaluation, directory: Path) -> tuple[dict, dict] | None:
        """Verdict and effects, if they were written of this ticket and of what the log holds now, and the front with them."""
        try:
            verdict, effects = (
                read_strict_json((directory / name).read_bytes()) for name in (VERDICT_FILE, EFFECTS_FILE)
            )
        except (OSError, ValueError):
            return None
        is_of_this = verdict.get('ticket') == str(best.scheme)
        is_of_all = verdict.get('num_evaluations') == len(self.loop.evaluations)
        return (verdict, effects) if is_of_this and is_of_all and (directory / FRONT_FILE).exists() else None

    def _conclude(self, best: Evaluation, latency_table: str | None) -> tuple[dict, dict]:
        print_log('Scoring controls, flips of the ticket and a scheme for every size ...', logger='current')
        found = conclude(
            self.scores,
            self.loop.evaluations,
            best.scheme,
            self.reward.metric,
            self.reward,
            self.loop.space.is_allowed,
            self.loop.space.fixed,
            self.seed,
        )
        for role in ROLES:
            self.loop.extend(role, sorted((s for s, r in found.roles.items() if _log_role(r) == role), key=str))
        self.loop.extend('probe', self._fill_sizes())
        directory = self.loop.record.directory
        latency, _ = find_latency_table(latency_table, directory, self.backbone, self.run_one_image)
        self.backbone.set_scheme(best.scheme)
        added = build_added_costs(self.costs, latency)
        candidates = Candidates(self.reward.metric, self.loop.space, added, self.loop.evaluations)
        effects = found.effects.to_dict()
        verdict = {**found.verdict.to_dict(), 'num_evaluations': len(self.loop.evaluations)}
        if self.loop.record.is_writer:
            write_front(candidates, self.make_ticket, directory)
            _write(directory / EFFECTS_FILE, effects)
            _write(directory / VERDICT_FILE, verdict)  # last: where it is, all is
        barrier()
        return verdict, effects

    def _fill_sizes(self) -> list[ConnectionScheme]:
        """For each number of connections that no candidate has, the scheme that is expected to be its best."""
        full = {e.scheme: e for e in self.loop.evaluations if e.reward is not None and not e.is_partial}
        masks = np.array([scheme.mask for scheme in full])
        rewards = np.array([each.reward for each in full.values()])
        offered = {s.num_connected for s, e in full.items() if e.role != 'random' and self.loop.space.allows(s)}
        missing = [size for size in range(masks.shape[1] + 1) if size not in offered]
        guesses = [guess_best_of_size(masks, rewards, size, self.loop.space.is_allowed, self.seed) for size in missing]
        return [
            ConnectionScheme.from_mask(mask, self.loop.space.blocks_per_stage) for mask in guesses if mask is not None
        ]


def _log_role(role: str) -> str:
    """In the log, 'control' stands for none and all alone, which begin it; the other controls probe as flips do."""
    return 'probe' if role == 'control' else role


def _describe(verdict: dict, effects: dict, directory: Path) -> list[str]:
    said = {'Verdict:': [verdict['sentence'], *verdict['sentences']], 'Why:': effects['sentences']}
    lines = [f'{"" if i else label:<9} {line}' for label, texts in said.items() for i, line in enumerate(texts)]
    return [
        *lines,
        f'Budgets:  python tools/pick.py {from_here(directory)} --pick max-latency=+5%  (all in {FRONT_FILE})',
    ]


def _write(path: Path, fields: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(fields, indent=1, allow_nan=False) + '\n').encode())

"""What a search leaves when it ends: a table, a picture, a config, and the next command."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from mmengine.config import Config

from ..analysis import CostTable, describe_device, measure_latency
from ..models import EANBackbone
from ..search import Evaluation, SearchResult
from ..search.scoreboard import SEARCHED
from ..structures import ConnectionScheme, write_atomically
from ..structures.paths import from_here
from ..visualization import ResultRow, ScoredScheme, draw_search, format_results
from .retrain_config import write_retrain_config

RESULTS_FILE = 'results.json'
FIGURE_FILE = 'search.png'
COMPARISON_FOLDER = 'compare'  # networks trained from scratch with the ticket and without
TITLE = 'Scores of the shared supernet on the reward images (not of networks trained alone)'


class Outcome:
    """The end of a search.

    Args:
        result: what the search found.
        costs: of the whole network.
        metric: name of the metric.
        directory: where files go.
    """

    def __init__(self, result: SearchResult, costs: CostTable, metric: str, directory: Path):
        self.result = result
        self.costs = costs
        self.metric = metric
        self.directory = directory
        self.latency_ms: dict[ConnectionScheme, float] = {}
        self.device = torch.device('cpu')

    def measure_latency(self, backbone: EANBackbone, run: Callable[[], object]) -> None:
        """Measure none, all and the ticket side by side on one image; the ticket stays set."""
        schemes = [evaluation.scheme for _, evaluation in self._named()]
        self.device = next(backbone.parameters()).device

        def run_under(scheme: ConnectionScheme) -> None:
            backbone.set_scheme(scheme)
            run()

        self.latency_ms = measure_latency(run_under, list(dict.fromkeys(schemes)), self.device)
        if schemes:
            backbone.set_scheme(schemes[-1])

    def write(
        self, cfg: Config, recipe: str | None, evaluations: Sequence[Evaluation], conclusion: Sequence[str] = ()
    ) -> str:
        """Write results, figure and retrain config; return the text that ends the search.

        Args:
            cfg: of the search.
            recipe: config by which the ticket is to be trained; None takes ``cfg``.
            evaluations: all of them.
            conclusion: further lines of the text.
        """
        rows = self.rows()
        facts = dict(
            metric=self.metric,
            scores='supernet',
            rows=[row.to_dict() for row in rows],
            num_distinct=self.result.num_distinct,
            num_failures=self.result.num_failures,
            num_partial=self.result.num_partial,
            end=self.result.end,
            latency='one image, median of 20 interleaved runs',
            device=describe_device(self.device),
            config=cfg.filename,
            shapes=[list(site.shape) for site in self.costs.sites],
        )
        content = json.dumps(facts, indent=2, allow_nan=False) + '\n'
        write_atomically(self.directory / RESULTS_FILE, content.encode())
        self._draw([e for e in evaluations if e.metric is not None and e.role in SEARCHED])
        table = format_results(rows, self.metric, TITLE)
        return '\n'.join(['', table, *conclusion, *self._last_lines(cfg, recipe)])

    @property
    def schemes(self) -> dict[str, ConnectionScheme]:
        """None, all and the ticket by name, those that have a score."""
        return {name: evaluation.scheme for name, evaluation in self._named()}

    def rows(self) -> list[ResultRow]:
        """none, all and the ticket, then the runners-up."""
        named = self._named()
        taken = {evaluation.scheme for _, evaluation in named}
        others = [evaluation for evaluation in self.result.top if evaluation.scheme not in taken]
        named += [(f'next {i}', evaluation) for i, evaluation in enumerate(others, 1)]
        return [self._row(name, evaluation) for name, evaluation in named]

    def _named(self) -> list[tuple[str, Evaluation]]:
        pairs = [('none', self.result.none), ('all', self.result.all), ('ticket', self.result.best)]
        return [(name, e) for name, e in pairs if e is not None and e.metric is not None and not e.is_partial]

    def _row(self, name: str, evaluation: Evaluation) -> ResultRow:
        cost = self.costs.cost(evaluation.scheme)
        return ResultRow(
            name=name,
            scheme=str(evaluation.scheme),
            metric=cast(float, evaluation.metric),
            reward=cast(float, evaluation.reward),
            num_connected=evaluation.scheme.num_connected,
            params=cost.params,
            macs=cost.macs,
            latency_ms=self.latency_ms.get(evaluation.scheme),
            elementwise=cost.elementwise,
        )

    def _draw(self, scored: Sequence[Evaluation]) -> None:
        if all(evaluation.is_partial for evaluation in scored):
            return
        best = self.result.best
        figure = draw_search(
            [ScoredScheme(e.scheme.mask, cast(float, e.metric), cast(float, e.reward), e.is_partial) for e in scored],
            scored[0].scheme.blocks_per_stage,
            None if best is None else best.scheme.mask,
            self.metric,
        )
        figure.savefig(self.directory / FIGURE_FILE, dpi=110)

    def _last_lines(self, cfg: Config, recipe: str | None) -> list[str]:
        best, none = self.result.best, self.result.none
        if best is None:
            return ['No ticket: no scheme with enough connections has a score; lower min_connected.']
        retrain = from_here(write_retrain_config(cfg, recipe, self.directory))
        lines = [
            f'Picture:  {from_here(self.directory / FIGURE_FILE)}',
            f'Ticket:   {from_here(self.directory / "ticket.json")}',
            f'Next:     python tools/train.py {retrain}',
        ]
        if self.result.num_partial:
            lines.append(
                f'Racing:   {self.result.num_partial} of {self.result.num_distinct} schemes were dropped with an estimate '
                '(hollow in the picture); no row above is one.'
            )
        if none is not None and not none.is_partial and none.rank < best.rank:
            lines.append(
                f'No attention at all scored best here: reward {none.reward:.2f} against {best.reward:.2f} of the ticket.'
            )
        return lines

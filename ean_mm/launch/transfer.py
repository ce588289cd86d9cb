"""Train the network of another task with a ticket, and with what it is to be compared with."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..analysis import CostTable, measure_cost, measure_latency
from ..hooks.wrapped_backbone import find_backbone, find_backbone_config
from ..models import reconcile_attention
from ..structures import ConnectionScheme, Ticket, write_atomically
from ..visualization import Prediction, TransferRow, draw_predictions, format_transfer
from .predictions import load_predictions, predict

NAMES = ('none', 'all', 'ticket', 'random')
FIGURE_FILE = 'transfer.png'
RESULTS_FILE = 'transfer.json'


def transfer(cfg: Config, ticket_path: str, names: Sequence[str], seeds: Sequence[int]) -> str:
    """Train each named scheme with each seed by one recipe, test it, and return the table as text.

    Runs in ``<work_dir>/<name>_<seed>``; one that has finished is not run again, one that was interrupted resumes. A table
    with parameters, MACs and latency, ``transfer.json`` and a picture of predictions, ``transfer.png``, end it.

    Args:
        cfg: config of the task; its model contains an EANBackbone.
        ticket_path: what travels.
        names: of ``NAMES``.
        seeds: of the training.

    Raises:
        TicketError: if the ticket does not fit the backbone.
        ValueError: if the config has no EANBackbone, or an earlier transfer in the work directory used another ticket.
    """
    directory = Path(cfg.work_dir)
    ticket = Ticket.load(ticket_path)
    schemes = {name: scheme for name, scheme in choose_schemes(ticket).items() if name in names}
    if 'random' in names and 'random' not in schemes:
        print_log(f"No random scheme: '{ticket.scheme}' is the only one of its size.", logger='current')
    _require_same(directory, cfg, ticket)
    facts = _Facts(cfg, ticket_path, list(schemes.values()))
    metrics = {
        name: [_train(_with_scheme(cfg, ticket_path, scheme), directory / f'{name}_{seed}', seed) for seed in seeds]
        for name, scheme in schemes.items()
    }
    rows = [facts.row(name, schemes[name], metrics[name]) for name in schemes]
    write_atomically(directory / RESULTS_FILE, json.dumps([row.to_dict() for row in rows], indent=2).encode() + b'\n')
    shown = {name: load_predictions(directory / f'{name}_{seeds[0]}') for name in schemes}
    _draw({name: found for name, found in shown.items() if found}, directory / FIGURE_FILE)
    lines = [format_transfer(rows), f'Ticket:  {ticket_path}', f'Picture: {directory / FIGURE_FILE}']
    return '\n'.join(lines)


def choose_schemes(ticket: Ticket) -> dict[str, ConnectionScheme]:
    """The ticket's scheme and those it is compared with; 'random' has as many connections and is another one.

    It is left out where there is no other. Which one it is depends on the ticket's scheme alone.

    >>> schemes = choose_schemes(Ticket.load('work_dirs/search/ticket.json'))  # doctest: +SKIP
    >>> list(schemes)  # doctest: +SKIP
    ['none', 'all', 'ticket', 'random']
    """
    scheme = ticket.scheme
    layout = scheme.blocks_per_stage
    schemes = {'none': ConnectionScheme.none(layout), 'all': ConnectionScheme.all(layout), 'ticket': scheme}
    if 0 < scheme.num_connected < scheme.num_connections:
        generator = np.random.default_rng([scheme.num_connections, *map(int, scheme.mask)])
        mask = generator.permutation(scheme.mask)
        while np.array_equal(mask, scheme.mask):
            mask = generator.permutation(scheme.mask)
        schemes['random'] = ConnectionScheme.from_mask(mask, layout)
    return schemes


class _Facts:
    """What schemes cost in the network of the task, measured side by side in one network that has them all."""

    def __init__(self, cfg: Config, ticket_path: str, schemes: Sequence[ConnectionScheme]):
        everything = ConnectionScheme.all(schemes[0].blocks_per_stage)
        full = _with_scheme(cfg, ticket_path, everything)
        full.work_dir = str(Path(cfg.work_dir) / 'costs')
        runner = Runner.from_cfg(full)
        model, loader = runner.model.eval(), runner.build_dataloader(full.test_dataloader)
        backbone = find_backbone(model)
        one_image = loader.collate_fn([loader.dataset[0]])

        def run() -> object:
            return model(**model.data_preprocessor(one_image, False), mode='tensor')

        def run_under(scheme: ConnectionScheme) -> None:
            backbone.set_scheme(scheme)
            run()

        self.costs: CostTable = measure_cost(model, backbone, run)
        device = next(model.parameters()).device
        self.latency_ms = measure_latency(run_under, list(dict.fromkeys(schemes)), device)

    def row(self, name: str, scheme: ConnectionScheme, metrics: Sequence[dict[str, float]]) -> TransferRow:
        cost = self.costs.cost(scheme)
        return TransferRow(
            name=name,
            scheme=str(scheme),
            num_connected=scheme.num_connected,
            metrics={key: tuple(each[key] for each in metrics) for key in metrics[0]},
            params=cost.params,
            macs=cost.macs,
            latency_ms=self.latency_ms[scheme],
        )


def _with_scheme(cfg: Config, ticket_path: str, scheme: ConnectionScheme) -> Config:
    """The config with the ticket's attention and sharing, at the sites of a scheme; with the ticket itself where they agree."""
    cfg = copy.deepcopy(cfg)
    ticket = Ticket.load(ticket_path)
    backbone = find_backbone_config(cfg.model)
    for name in ('ticket', 'scheme'):
        backbone.pop(name, None)
    if scheme == ticket.scheme:
        backbone['ticket'] = ticket_path
    else:
        backbone['attention'] = reconcile_attention(backbone.get('attention'), ticket, ticket_path)
        backbone['sharing'] = ticket.sharing
        backbone['scheme'] = str(scheme)
    return cfg


def _train(cfg: Config, work_dir: Path, seed: int) -> dict[str, float]:
    """The test metrics of a network trained with this config."""
    done = work_dir / 'metrics.json'
    if not done.exists():
        cfg.work_dir = str(work_dir)
        cfg.randomness = dict(seed=seed)
        cfg.resume = (work_dir / 'last_checkpoint').exists()
        runner = Runner.from_cfg(cfg)
        runner.train()
        metrics = {key: float(value) for key, value in runner.test().items()}
        predict(runner.model, runner.test_dataloader, work_dir)
        write_atomically(done, json.dumps(metrics).encode())
    return json.loads(done.read_text())


def _require_same(directory: Path, cfg: Config, ticket: Ticket) -> None:
    """Refuse a work directory in which another ticket was transferred, or the same one by another recipe."""
    path = directory / 'transferred.json'
    fields = {
        key: value for key, value in cfg.to_dict().items() if key not in ('work_dir', 'resume', 'launcher', 'filename')
    }
    content = json.dumps(dict(ticket=ticket.to_json(), config=fields), default=str, sort_keys=True).encode()
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    elif path.read_bytes() != content:
        raise ValueError(
            f'`work_dir` must hold the transfer of this ticket by this config, but got {str(directory)!r} with another; '
            'choose another work_dir, or remove that one.'
        )


def _draw(shown: dict[str, list[Prediction]], path: Path) -> None:
    if shown:
        draw_predictions(shown).savefig(path, dpi=110)

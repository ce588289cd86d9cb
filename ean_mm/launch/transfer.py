"""Train the network of another task with a ticket, and with what it is to be compared with."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..hooks.retrain_config import is_search_hook
from ..hooks.wrapped_backbone import find_backbone_config, type_name, unwrap
from ..models import OWN_ATTENTIONS, OWN_CONVOLUTIONS, reconcile_attention, require_ticket_for
from ..structures import ConnectionScheme, Ticket, write_atomically
from ..visualization import TransferRow, draw_predictions, format_transfer
from .config_entries import OF_ONE_RUN, without
from .data import check_data
from .predictions import load_predictions, predict
from .scheme_facts import SchemeFacts
from .training import make_runner, train_once
from .weights import check_weights

NAMES = ('none', 'all', 'ticket', 'random')
FIGURE_FILE = 'transfer.png'
RESULTS_FILE = 'transfer.json'
RECIPE_FILE = 'transferred.json'
COMMON_FOLDER = 'common'  # what belongs to no single training


def transfer(cfg: Config, ticket_path: str, names: Sequence[str], seeds: Sequence[int]) -> str:
    """Train each named scheme with each seed by one recipe, test it, and return the table as text.

    Networks of one seed start from the same weights, head included, and see the same batches. They train in
    ``<work_dir>/<name>_<seed>``; one that has finished is not run again, one that was interrupted goes on from its last
    checkpoint. A table with parameters, MACs and latency, ``transfer.json`` and a picture of predictions, ``transfer.png``,
    end it.

    Args:
        cfg: config of the task; its model contains an EANBackbone.
        ticket_path: what travels.
        names: of ``NAMES``.
        seeds: of the training.

    Raises:
        TicketError: if the ticket is damaged or does not fit the backbone.
        MissingDataError: if images are missing.
        ValueError: if the ticket or weights are missing, the config has no EANBackbone or searches, or the work directory
            holds another transfer.
    """
    directory = Path(cfg.work_dir)
    ticket = _load_ticket(ticket_path)
    _require_no_search(cfg)
    check_data(cfg, 'train_dataloader', 'val_dataloader', 'test_dataloader')
    check_weights(cfg)
    schemes = _pick_schemes(ticket, names)
    full = _with_scheme(cfg, ticket, ticket_path, 'all')
    facts = _measure(full, ticket, list(schemes.values()))
    _require_same(directory, cfg, ticket)
    starts = {seed: _draw_start(full, seed) for seed in seeds}
    metrics = {
        name: [_train(_with_scheme(cfg, ticket, ticket_path, str(scheme)), name, *item) for item in starts.items()]
        for name, scheme in schemes.items()
    }
    rows = [_make_row(name, schemes[name], metrics[name], facts) for name in schemes]
    write_atomically(directory / RESULTS_FILE, json.dumps([row.to_dict() for row in rows], indent=2).encode() + b'\n')
    lines = [format_transfer(rows), f'Ticket:  {ticket_path}']
    if _draw({name: directory / f'{name}_{seeds[0]}' for name in schemes}, directory / FIGURE_FILE):
        lines.append(f'Picture: {directory / FIGURE_FILE}')
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
        mask = scheme.mask
        while np.array_equal(mask, scheme.mask):
            mask = generator.permutation(scheme.mask)
        schemes['random'] = ConnectionScheme.from_mask(mask, layout)
    return schemes


def _load_ticket(path: str) -> Ticket:
    if not Path(path).is_file():
        raise ValueError(f'`ticket` must be a file, but got {path!r}; tools/search.py leaves one.')
    return Ticket.load(path)


def _pick_schemes(ticket: Ticket, names: Sequence[str]) -> dict[str, ConnectionScheme]:
    schemes = {name: scheme for name, scheme in choose_schemes(ticket).items() if name in names}
    if not schemes:
        raise ValueError(
            f"`schemes` must name one that there is beside the ticket's ('{ticket.scheme}'), but got {list(names)!r}; "
            'no other scheme has as many connections.'
        )
    if 'random' in names and 'random' not in schemes:
        print_log(f"No random scheme: '{ticket.scheme}' is the only one of its size.", logger='current')
    return schemes


def _measure(full: Config, ticket: Ticket, schemes: Sequence[ConnectionScheme]) -> SchemeFacts:
    """What schemes cost in the network of the task; the ticket must fit it."""
    facts = SchemeFacts(full, Path(full.work_dir) / COMMON_FOLDER / 'costs')
    ticket.check_backbone(facts.backbone.fingerprint)
    facts.measure(schemes)
    return facts


def _make_row(
    name: str, scheme: ConnectionScheme, metrics: Sequence[dict[str, float]], facts: SchemeFacts
) -> TransferRow:
    cost = facts.costs.cost(scheme)
    return TransferRow(
        name=name,
        scheme=str(scheme),
        num_connected=scheme.num_connected,
        metrics={key: tuple(each[key] for each in metrics) for key in metrics[0]},
        params=cost.params,
        macs=cost.macs,
        latency_ms=facts.latency_ms[scheme],
    )


def _with_scheme(cfg: Config, ticket: Ticket, ticket_path: str, scheme: str) -> Config:
    """The config with the ticket's attention and sharing, or its convolution, at the sites of a scheme."""
    cfg = copy.deepcopy(cfg)
    backbone = find_backbone_config(cfg.model)
    backbone.pop('ticket', None)
    wrapper = type_name(backbone)
    require_ticket_for(
        wrapper, ticket, OWN_CONVOLUTIONS if wrapper == 'AugmentedBackbone' else OWN_ATTENTIONS, ticket_path
    )
    if wrapper == 'AugmentedBackbone':
        conv = reconcile_attention(backbone.get('conv'), ticket, ticket_path, OWN_CONVOLUTIONS, 'conv')
        backbone.update(conv=conv, scheme=scheme)
        return cfg
    sharing = backbone.get('sharing') or ticket.sharing
    if sharing != ticket.sharing:
        raise ValueError(
            f'`sharing` must agree with the ticket ({ticket.sharing!r} in {ticket_path}), but got {sharing!r}; '
            "leave it out to take the ticket's."
        )
    attention = reconcile_attention(backbone.get('attention'), ticket, ticket_path)
    backbone.update(attention=attention, sharing=sharing, scheme=scheme)
    return cfg


def _draw_start(full: Config, seed: int) -> Path:
    """Save the weights that all networks of a seed start from: those of the one with attention everywhere."""
    path = Path(full.work_dir) / COMMON_FOLDER / f'start_{seed}.pth'
    if not path.exists():
        runner = make_runner(full, path.with_suffix(''), seed)
        model: Any = unwrap(runner.model)
        model.init_weights()
        runner.load_or_resume()
        buffer = io.BytesIO()
        torch.save({'state_dict': {key: value.cpu() for key, value in model.state_dict().items()}}, buffer)
        write_atomically(path, buffer.getvalue())
    return path


def _train(cfg: Config, name: str, seed: int, start: Path) -> dict[str, float]:
    """The test metrics of a network trained with this config, which also leaves predictions."""
    work_dir = Path(cfg.work_dir) / f'{name}_{seed}'
    cfg.load_from = str(start)

    def finish(runner: Runner) -> None:
        predict(unwrap(runner.model), runner.test_dataloader, work_dir)

    return train_once(cfg, work_dir, seed, finish)


def _require_no_search(cfg: Config) -> None:
    found = [hook.type for hook in cfg.get('custom_hooks') or [] if is_search_hook(hook)]
    if found:
        raise ValueError(
            f'`custom_hooks` must hold no hook of a search in a transfer, but got {found!r}; name a config that trains a '
            'network, such as a retrain.py.'
        )


def _require_same(directory: Path, cfg: Config, ticket: Ticket) -> None:
    """Refuse a work directory in which another ticket was transferred, or the same one by another recipe."""
    path = directory / RECIPE_FILE
    recipe = without(cfg, *OF_ONE_RUN).to_dict()
    text = json.dumps({'ticket': ticket.to_json(), **recipe}, default=str, indent=1)
    if not path.exists():
        write_atomically(path, text.encode())
        return
    wanted, found = json.loads(text), json.loads(path.read_text())
    differing = [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]
    if differing:
        raise ValueError(
            f'`work_dir` must hold the transfer of this ticket by this config, but got {str(directory)!r} with another '
            f'{", ".join(differing)}; choose another work_dir, or remove that one.'
        )


def _draw(directories: dict[str, Path], path: Path) -> bool:
    """Draw what was predicted in each directory; tell whether there was anything."""
    shown = {name: load_predictions(directory) for name, directory in directories.items()}
    shown = {name: predictions for name, predictions in shown.items() if predictions}
    if shown:
        draw_predictions(shown).savefig(path, dpi=110)
    return bool(shown)

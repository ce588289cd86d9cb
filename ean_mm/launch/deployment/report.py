"""What a deployment has done: as a text, as ``deployed.json``, and as a picture of gates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ...models import EANBackbone
from ...reparam import describe_site, name_site
from ...structures import write_atomically
from ...visualization import DeployRow, draw_gates, format_deploy
from .config import our_types
from .export import STEM, digest
from .proof import Agreement
from .stripes import FoldedStripes

RESULTS_FILE = 'deployed.json'
FIGURE_FILE = 'gates.png'


@dataclass(frozen=True)
class Deployment:
    """What was given, and what became of it.

    Attributes:
        checkpoint: path of the trained weights.
        directory: where the files are.
        given: config of the backbone, of type EANBackbone.
        trained: that backbone.
        folded: the same after its constant gates were folded.
        stripes: gates that vary and may be folded too; None if none may.
        model: config of the deployed network.
        agreement: of the deployed network with what it stands for.
        files: how each agrees, by name.
        rows: parameters and latency of each network.
    """

    checkpoint: str
    directory: Path
    given: dict
    trained: EANBackbone
    folded: EANBackbone
    stripes: FoldedStripes | None
    model: dict
    agreement: Agreement
    files: dict[str, Agreement]
    rows: Sequence[DeployRow]

    def to_dict(self) -> dict:
        """As plain values, with a digest of every file."""
        stripes = self.stripes
        gates = [] if stripes is None else [(each, each.site in stripes.sites) for each in stripes.gates]
        return {
            'checkpoint': {'path': self.checkpoint, 'sha256': digest(Path(self.checkpoint))},
            'scheme': str(self.trained.scheme),
            'agreement': self.agreement.to_dict(),
            'files': {
                name: {'sha256': digest(self.directory / name), **each.to_dict()} for name, each in self.files.items()
            },
            'networks': [row.to_dict() for row in self.rows],
            'gates': [
                {'site': each.site, 'deviation': each.deviation, 'folded': is_folded} for each, is_folded in gates
            ],
            'metrics': {} if stripes is None else stripes.metrics,
            'torch': torch.__version__,
        }


def write_report(done: Deployment) -> None:
    """Write ``deployed.json``, and ``gates.png`` if gates were recorded."""
    figure = done.directory / FIGURE_FILE
    figure.unlink(missing_ok=True)  # of an earlier call
    if done.stripes is not None and done.stripes.gates:
        sites = [
            (name_site(done.folded, each.site), each.gates.numpy(), each.site in done.stripes.sites)
            for each in done.stripes.gates
        ]
        draw_gates(sites).savefig(figure, dpi=110)
    write_atomically(done.directory / RESULTS_FILE, json.dumps(done.to_dict(), indent=2).encode() + b'\n')


def describe(done: Deployment) -> str:
    """A table with what was reached, what became of every site, and what was written."""
    reference = 'trained network' if done.stripes is None else 'network with these gates folded'
    lines = [
        format_deploy(done.rows),
        _describe_sites(done),
        *([] if done.stripes is None else _describe_stripes(done.stripes, done)),
        f'Equal:   to the {reference}: {done.agreement}',
        f'Needs:   {_describe_needs(done)}',
        f'Config:  {done.directory / f"{STEM}.py"}',
    ]
    return '\n'.join([*lines, *(f'File:    {done.directory / name}' for name in done.files)])


def _describe_sites(done: Deployment) -> str:
    num_connected = done.trained.scheme.num_connected
    num_left = done.folded.scheme.num_connected
    fates = [f'{num_connected - num_left} constant and folded']
    if done.stripes is not None:
        fates.append(f'{len(done.stripes.sites)} nearly constant and folded')
        num_left -= len(done.stripes.sites)
    stays = f'{num_left} stay'
    if done.folded.attention_cfg != done.trained.attention_cfg:
        stays += ', less the part of their attention that is constant, which is folded'
    return f'Sites:   {num_connected} connected: {", ".join([*fates, stays])}'


def _describe_stripes(stripes: FoldedStripes, done: Deployment) -> list[str]:
    """The gates of every site, and what folding some of them has cost."""
    lines = []
    for each in stripes.gates:
        fate = 'folded' if each.site in stripes.sites else 'stays'
        lines.append(f'         {describe_site(done.folded, each.site)}: deviation {each.deviation:.4f}, {fate}')
    for name, before in stripes.metrics['before'].items():
        after = stripes.metrics['after'][name]
        lines.append(f'Test:    {name} {before:.4g} before, {after:.4g} after ({after - before:+.4g})')
    return [*lines, *([f'Picture: {done.directory / FIGURE_FILE}'] if stripes.gates else [])]


def _describe_needs(done: Deployment) -> str:
    names = our_types(done.model)
    return (
        f'ean_mm, for {", ".join(names)}'
        if names
        else f'no ean_mm; the backbone is a plain {done.given["backbone"]["type"]}'
    )

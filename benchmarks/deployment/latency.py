"""What attention still costs once it is deployed: latency ratios, measured side by side in one run.

python -m benchmarks.deployment.latency --quick    # small images: shows in a minute that everything runs
python -m benchmarks.deployment.latency            # ResNet-50, 1, 8 and 32 images of 224 x 224; README.md says how long

Every network has random weights, statistics and last gammas: with gammas that start at zero, branches are empty.
"""

# ruff: noqa: E402 (without mmengine the imports below would be missing)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from rich.table import Table
from torch import Tensor, nn

from ean_mm.analysis import compare_rounds, time_rounds
from ean_mm.launch import one_sentence
from ean_mm.models import EANBackbone
from ean_mm.registry import MODELS, build_from
from ean_mm.reparam import AcceleratedBackbone, fold_constant_gates, release
from ean_mm.visualization import to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows

PRECISIONS = ('fp32', 'bf16')
MIN_ROUNDS = 5
USUAL = dict(depth=50, batch_sizes=[1, 8, 32], image_size=224, rounds=40)
QUICK = dict(depth=50, batch_sizes=[2], image_size=64, rounds=3)
COLUMNS = (
    *('network', 'scheme', 'precision', 'batch_size', 'image_size', 'latency_ms', 'baseline'),
    *('ratio', 'ratio_low', 'ratio_high', 'rounds', *MACHINE_COLUMNS),
)
PLAIN, PLAIN_FAST = 'plain', 'plain, accelerated'
TIMM, TIMM_SE = 'timm resnet50', 'timm seresnet50'
SE = dict(type='ean_mm.SE')
# Quoted from the published training script; of SE no ticket is published: seven sites, our choice.
SCHEMES = {
    'SGE': '100 1011 010011 011',
    'DIA': '110 0011 110010 011',
    'SE': '010 0010 110011 001',
}
ATTENTIONS = {
    'SGE': dict(type='ean_mm.SGE'),
    'DIA': dict(type='ean_mm.DIA', reduction=20),
    'SE': SE,
}


@dataclass(frozen=True)
class Network:
    """One network of the comparison.

    Attributes:
        name: of it.
        forward: runs it.
        baseline: the network it is compared with.
        scheme: where its attention is.
    """

    name: str
    forward: Callable[[Tensor], object]
    baseline: str
    scheme: str = ''


def build_networks(depth: int, device: torch.device) -> list[Network]:
    """All networks, each with the same seed."""
    asr = dict(type='ean_mm.ASR', attention=SE)
    plain = _place(build_from(MODELS, dict(type='mmpretrain.ResNet', depth=depth), 'backbone'), device)
    found = [
        Network(PLAIN, plain, PLAIN),
        Network(PLAIN_FAST, _place(AcceleratedBackbone.of(plain), device), PLAIN_FAST),
        Network(
            'ASR everywhere, folded', _place(release(fold_constant_gates(_wrap(depth, asr, 'all'))), device), PLAIN
        ),
    ]
    found += _trained_and_deployed('SE in every block', _wrap(depth, SE, 'all'), device)
    for name, attention in ATTENTIONS.items():
        for title, scheme in ((f'{name} everywhere, shared', 'all'), (f'{name} ticket, shared', SCHEMES[name])):
            found += _trained_and_deployed(title, _wrap(depth, attention, scheme, 'stage'), device)
    with suppress(ImportError):
        import timm

        for name in (TIMM, TIMM_SE):
            model = timm.create_model(name.removeprefix('timm '), num_classes=0)
            found.append(Network(name, _place(model, device).forward_features, TIMM))
    return found


def _trained_and_deployed(name: str, backbone: EANBackbone, device: torch.device) -> list[Network]:
    scheme = str(backbone.scheme)
    return [
        Network(name, _place(backbone, device), PLAIN, scheme),
        Network(f'{name}, accelerated', _place(AcceleratedBackbone.of(backbone), device), PLAIN_FAST, scheme),
    ]


def _wrap(depth: int, attention: dict, scheme: str, sharing: str = 'block') -> EANBackbone:
    backbone = EANBackbone(dict(type='mmpretrain.ResNet', depth=depth), attention, sharing, scheme)
    fill(backbone)
    return backbone


def fill(model: nn.Module) -> None:
    """Give norms the weights and statistics of a network that does something in every branch."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 0.8)
            nn.init.normal_(module.bias, 0.0, 0.1)
            nn.init.normal_(module.running_mean, 0.0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


def _place(model: nn.Module, device: torch.device) -> nn.Module:
    model.eval()
    if not isinstance(model, (EANBackbone, AcceleratedBackbone)):
        fill(model)
    return model.to(device).to(memory_format=torch.channels_last)


def compare(
    networks: Sequence[Network], batch_size: int, precision: str, args: argparse.Namespace
) -> Iterator[dict[str, object]]:
    """Run the networks in turns and yield a row each."""
    torch.manual_seed(0)
    images = torch.randn(batch_size, 3, args.image_size, args.image_size, device=args.device)
    images = images.to(memory_format=torch.channels_last)

    def run(network: Network) -> None:
        with torch.inference_mode(), torch.autocast(args.device.type, torch.bfloat16, enabled=precision == 'bf16'):
            network.forward(images)

    rounds = time_rounds({network.name: partial(run, network) for network in networks}, args.device)
    next(rounds)
    kept: list[dict[str, float]] = []
    start = time.monotonic()
    while len(kept) < args.rounds and (len(kept) < MIN_ROUNDS or time.monotonic() - start < args.seconds):
        kept.append(next(rounds))
        print(
            f'\r{precision}, batch {batch_size}: round {len(kept)} of {args.rounds}',
            end='',
            file=sys.stderr,
            flush=True,
        )
    print(file=sys.stderr)
    for network in networks:
        ratio = compare_rounds(kept, network.name, network.baseline)
        yield dict(
            network=network.name,
            scheme=network.scheme,
            precision=precision,
            batch_size=batch_size,
            image_size=args.image_size,
            latency_ms=f'{median(times[network.name] for times in kept) * 1e3:.4g}',
            baseline=network.baseline,
            ratio=f'{ratio.median:.4f}',
            ratio_low=f'{ratio.low:.4f}',
            ratio_high=f'{ratio.high:.4f}',
            rounds=len(kept),
            **describe_machine(args.device),
        )


def draw_table(rows: Sequence[dict]) -> str:
    table = Table()
    for header in ('network', 'precision'):
        table.add_column(header, no_wrap=True)
    for header in ('batch', 'ms', 'ratio', 'quartiles'):
        table.add_column(header, justify='right')
    table.add_column('to')
    for row in rows:
        quartiles = f'{float(row["ratio_low"]):.3f} - {float(row["ratio_high"]):.3f}'
        cells = (str(row[key]) for key in ('network', 'precision', 'batch_size', 'latency_ms'))
        table.add_row(*cells, f'{float(row["ratio"]):.3f}', quartiles, str(row['baseline']))
    return to_text(table, width=140)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure what attention costs once it is deployed.')
    parser.add_argument('--work-dir', type=Path, default=Path(__file__).parent / 'results', help='where files go')
    parser.add_argument('--precisions', nargs='+', choices=PRECISIONS, default=list(PRECISIONS), help='bf16: autocast')
    parser.add_argument('--batch-sizes', nargs='+', type=int, help='images at once (default: 1 8 32)')
    parser.add_argument('--image-size', type=int, help='their height and width (default: 224)')
    parser.add_argument('--depth', type=int, help='of the ResNet (default: 50, which the schemes are for)')
    parser.add_argument('--rounds', type=int, help='in each, every network runs once (default: 40)')
    parser.add_argument(
        '--seconds', type=float, default=300, help=f'a comparison ends after so long, with {MIN_ROUNDS} rounds'
    )
    parser.add_argument('--quick', action='store_true', help='2 images of 64 x 64, 3 rounds; file ..._quick')
    args = parser.parse_args()
    for name, value in (USUAL | QUICK if args.quick else USUAL).items():
        given = getattr(args, name)
        setattr(args, name, value if given is None else given)
    args.device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    return args


def main() -> None:
    args = parse_arguments()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    path = args.work_dir / f'deploy_latency{"_quick" if args.quick else ""}.csv'
    rows: list[dict] = []
    with one_sentence():
        torch.manual_seed(0)
        networks = build_networks(args.depth, args.device)
        for precision in args.precisions:
            for batch_size in args.batch_sizes:
                rows += compare(networks, batch_size, precision, args)
                write_rows(path, COLUMNS, rows)
    print(draw_table(rows))
    print(f'Table: {path}')


if __name__ == '__main__':
    main()

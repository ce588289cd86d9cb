"""What augmented convolutions cost as images grow: memory and time of a training step of plain, AA and EAA ResNet-18.

python -m benchmarks.scaling.eaanet_memory --quick    # 32 x 32 and 64 x 64 pixels: shows in a minute that everything runs
python -m benchmarks.scaling.eaanet_memory            # 32 x 32 to 256 x 256; README.md beside this file says how long

ResNet-18 of CIFAR (no stride in the stem), first convolutions of the blocks of stages 2 to 4 augmented, one image, plain SGD.
Peak resident memory is that of a process of its own per network and size; times are measured apart, in turns.
"""

# ruff: noqa: E402 (without mmengine the imports below would be missing)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from mmengine.registry import init_default_scope
from rich.table import Table
from torch import nn

from ean_mm.analysis import compare_rounds, measure_peak_memory, time_rounds
from ean_mm.launch import one_sentence
from ean_mm.registry import MODELS, build_from
from ean_mm.visualization import to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, read_peak_memory, write_rows
from .lines import Line, draw_scaling, fit_exponent

ROOT = Path(__file__).parents[2]
MODULE = 'benchmarks.scaling.eaanet_memory'
BACKBONE = dict(type='mmpretrain.ResNet_CIFAR', depth=18)
SCHEME = '00 11 11 11'
CHANNELS_AND_STRIDES = {128: 2, 256: 4, 512: 8}  # of the augmented stages
HEADS = 8
PLAIN = 'plain'
NETWORKS = (PLAIN, 'AA', 'EAA')
COLUMNS = (
    *('network', 'image_size', 'pixels', 'resident_mib', 'allocated_mib', 'step_ms'),
    *('ratio', 'ratio_low', 'ratio_high', 'rounds', 'left_out', *MACHINE_COLUMNS),
)
TARGET_SIZE = 128


def build_network(name: str, size: int) -> nn.Module:
    """A backbone that classifies images of one size."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    cfg: dict = BACKBONE
    if name != PLAIN:
        conv = dict(type=f'ean_mm.{name}Conv2d', num_heads=HEADS, kappa=0.25, upsilon=0.25)
        if name == 'AA':
            conv['feature_size'] = {width: size // stride for width, stride in CHANNELS_AND_STRIDES.items()}
        cfg = dict(type='ean_mm.AugmentedBackbone', backbone=BACKBONE, conv=conv, scheme=SCHEME)
    backbone: nn.Module = build_from(MODELS, cfg, 'backbone')
    backbone.train()
    return backbone


def make_step(name: str, size: int) -> Callable[[], None]:
    """A training step on one image; gradients stay allocated."""
    network = build_network(name, size)
    image = torch.rand(1, 3, size, size)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)

    def step() -> None:
        network(image)[0].mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    return step


def measure_memory(name: str, size: int) -> dict[str, str]:
    """MiB at the worst moment of this process, and of what torch allocates in a step, on top of weights and gradients."""
    step = make_step(name, size)
    step()
    resident = read_peak_memory(torch.device('cpu'))
    allocated = measure_peak_memory(step, torch.device('cpu'))
    return dict(resident_mib=resident, allocated_mib=f'{allocated / 2**20:.1f}')


def measure_times(names: Sequence[str], size: int, rounds: int) -> dict[str, dict[str, object]]:
    """Milliseconds of a step of each network, which take turns, and their ratios to the plain one."""
    device = torch.device('cpu')
    kept = list(islice(time_rounds({name: make_step(name, size) for name in names}, device), 1, 1 + rounds))
    found: dict[str, dict[str, object]] = {}
    for name in names:
        ratio = compare_rounds(kept, name, PLAIN)
        found[name] = dict(
            step_ms=f'{median(times[name] for times in kept) * 1e3:.4g}',
            ratio=f'{ratio.median:.4f}',
            ratio_low=f'{ratio.low:.4f}',
            ratio_high=f'{ratio.high:.4f}',
            rounds=len(kept),
        )
    return found


def needed_bytes(name: str, size: int) -> int:
    """What the n x n maps of one step need at least: those of all layers kept, and three more of the largest."""
    if name != 'AA':
        return 0
    maps = [4 * HEADS * (size // stride) ** 4 for stride in CHANNELS_AND_STRIDES.values()]
    return 2 * sum(maps) + 3 * max(maps)


def available_bytes() -> int:
    """Memory that a new process could take."""
    lines = Path('/proc/meminfo').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable'))


def run_alone(*arguments: str) -> dict:
    """Run this module in a fresh process, and return the JSON of its last line; empty if it was killed."""
    command = [sys.executable, '-m', MODULE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode < 0:
        return {}
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def measure_size(size: int, rounds: int) -> list[dict]:
    """The rows of one image size."""
    rows = []
    for name in NETWORKS:
        row: dict = dict(network=name, image_size=size, pixels=size * size)
        if needed_bytes(name, size) > available_bytes():
            row['left_out'] = f'maps need {needed_bytes(name, size) / 2**30:.0f} GiB'
        else:
            row |= run_alone('--memory-of', name, '--sizes', str(size)) or dict(left_out='killed, out of memory')
        rows.append(row)
    names = [row['network'] for row in rows if 'left_out' not in row]
    times = run_alone('--times-of', *names, '--sizes', str(size), '--rounds', str(rounds))
    return [row | times.get(row['network'], {}) | describe_machine(torch.device('cpu')) for row in rows]


def lines_of(rows: Sequence[dict], column: str) -> list[Line]:
    """A line per network over the sizes at which it was measured."""
    found = []
    for name in NETWORKS:
        measured = [row for row in rows if row['network'] == name and row.get(column)]
        points = [(row['pixels'], float(row[column])) for row in measured]
        found.append(Line(name, points))
    return found


def draw_table(rows: Sequence[dict]) -> str:
    table = Table()
    for header in ('network', 'image'):
        table.add_column(header)
    for header in ('resident MiB', 'allocated MiB', 'step ms', 'of plain'):
        table.add_column(header, justify='right')
    for row in rows:
        size = f'{row["image_size"]} x {row["image_size"]}'
        if 'left_out' in row:
            table.add_row(row['network'], size, row['left_out'])
            continue
        cells = (str(row[key]) for key in ('resident_mib', 'allocated_mib', 'step_ms'))
        table.add_row(row['network'], size, *cells, f'{float(row["ratio"]):.2f}')
    return to_text(table, width=100)


def describe_targets(rows: Sequence[dict]) -> list[str]:
    """What was to be reached, and what was."""
    lines = []
    for column, what in (('allocated_mib', 'memory'), ('step_ms', 'time')):
        exponents = ', '.join(
            f'{line.name} {fit_exponent(line.points):.2f}' for line in lines_of(rows, column) if len(line.points) > 1
        )
        lines.append(f'Exponent of {what} in pixels (EAA: at most 1.1): {exponents}')
    resident = {row['network']: row.get('resident_mib') for row in rows if row['image_size'] == TARGET_SIZE}
    if all(resident.get(name) for name in NETWORKS):
        plain, aa, eaa = (float(resident[name]) for name in NETWORKS)
        share = (eaa - plain) / (aa - plain)
        lines.append(
            f'Resident memory at {TARGET_SIZE} x {TARGET_SIZE}: EAA - plain {eaa - plain:.0f} MiB, AA - plain '
            f'{aa - plain:.0f} MiB, a share of {share:.3f} (at most 0.333)'
        )
    return lines


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure what augmented convolutions cost as images grow.')
    parser.add_argument('--sizes', nargs='+', type=int, default=[32, 64, 128, 256], help='of the images, in pixels')
    parser.add_argument('--rounds', type=int, default=15, help='in each, every network takes a step')
    parser.add_argument('--results', type=Path, default=Path(__file__).parent / 'results', help='where files go')
    parser.add_argument('--quick', action='store_true', help='32 and 64 pixels, 3 rounds; files ..._quick')
    parser.add_argument('--memory-of', choices=NETWORKS, help=argparse.SUPPRESS)
    parser.add_argument('--times-of', nargs='+', choices=NETWORKS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.sizes, args.rounds = [32, 64], 3
    return args


def main() -> None:
    args = parse_arguments()
    if args.memory_of or args.times_of:  # one measurement, in a process of its own
        size = args.sizes[0]
        measure = partial(measure_memory, args.memory_of) if args.memory_of else None
        found: object = measure(size) if measure else measure_times(args.times_of, size, args.rounds)
        print(json.dumps(found))
        return
    stem = f'eaanet_memory{"_quick" if args.quick else ""}'
    args.results.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    with one_sentence():
        for size in args.sizes:
            print(f'{size} x {size} ...', file=sys.stderr)
            rows += measure_size(size, args.rounds)
            write_rows(args.results / f'{stem}.csv', COLUMNS, rows)
    panels = {'MiB allocated in a training step': 'allocated_mib', 'milliseconds of a training step': 'step_ms'}
    machine = describe_machine(torch.device('cpu'))
    title = 'ResNet-18 (CIFAR stem), stages 2 to 4 augmented, 8 heads, one image\n' + ', '.join(
        f'{key}: {value}' for key, value in machine.items()
    )
    figure = draw_scaling({name: lines_of(rows, column) for name, column in panels.items()}, title)
    figure.savefig(args.results / f'{stem}.png', dpi=110)
    print(draw_table(rows))
    print('\n'.join(describe_targets(rows)))
    print(f'Table: {args.results / f"{stem}.csv"}, picture beside it')


if __name__ == '__main__':
    main()

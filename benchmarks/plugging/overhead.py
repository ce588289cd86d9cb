"""What it costs to plug attention in: latency ratios, memory, parameters and work, measured side by side in one run.

python -m benchmarks.plugging.overhead --quick    # small images: shows in a few minutes that everything runs
python -m benchmarks.plugging.overhead            # ResNet-50, 8 images of 224 x 224; README.md beside this file says how long

Two parts, each with a CSV file in the work directory: `overhead` sets EANBackbone beside the bare backbone, and its SE beside
that of timm; `density` connects more and more blocks to one shared attention after the other, and draws a picture.
"""

# ruff: noqa: E402 (without mmengine, or too late for torch's profiler, what the imports below need would be missing)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import os

os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # read when torch loads; its profiler would log each measurement

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from rich.table import Table
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ean_mm.analysis import compare_rounds, measure_peak_memory, time_rounds
from ean_mm.launch import one_sentence
from ean_mm.visualization import to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows
from .figure import draw_density
from .networks import ATTENTIONS, Networks, Variant

MODES = ('inference', 'training')
PRECISIONS = ('fp32', 'bf16')
MIN_ROUNDS = 3
SECONDS_BETWEEN_LINES = 20
USUAL = dict(depth=50, batch_size=8, image_size=224, rounds=20)
QUICK = dict(depth=18, batch_size=2, image_size=64, rounds=3)
COLUMNS = (
    *('network', 'attention', 'sharing', 'density', 'scheme', 'mode', 'precision', 'batch_size', 'image_size'),
    *('params', 'macs', 'elementwise', 'latency_ms', 'baseline', 'ratio', 'ratio_low', 'ratio_high', 'rounds'),
    *('peak_memory_mib', *MACHINE_COLUMNS),
)


@dataclass(frozen=True)
class Setting:
    """How networks are run; bf16 is autocast, as mmengine's mixed precision is both in training and in tests."""

    mode: str
    precision: str

    def prepare(self, variant: Variant, images: Tensor) -> Callable[[], None]:
        """Return one inference, or one forward and backward pass, on ``images``."""
        variant.model.train(self.mode == 'training')
        autocast = partial(torch.autocast, images.device.type, torch.bfloat16, enabled=self.precision == 'bf16')

        def predict() -> None:
            with torch.inference_mode(), autocast():
                variant.forward(images)

        def train() -> None:
            with autocast():
                outputs = tree_leaves(variant.forward(images))
            torch.stack([output.float().mean() for output in outputs]).sum().backward()
            variant.model.zero_grad(set_to_none=True)

        return train if self.mode == 'training' else predict


class Progress:
    """Lines with a guess of the time left: the comparisons to come are taken to last as long as those behind."""

    def __init__(self, num_comparisons: int, num_rounds: int):
        self.num_comparisons = num_comparisons
        self.num_rounds = num_rounds
        self.num_done = 0
        self._start = self._last_line = time.monotonic()

    def show(self, title: str, num_rounds: int) -> None:
        now = time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        share = (self.num_done + num_rounds / self.num_rounds) / self.num_comparisons
        left = (now - self._start) * (1 - share) / share
        print(f'{title}: round {num_rounds} of {self.num_rounds}, about {left / 60:.0f} min left in all', flush=True)


class Comparison:
    """Runs networks side by side, in turns.

    Args:
        args: of the command line.
        progress: told after every round.
    """

    def __init__(self, args: argparse.Namespace, progress: Progress):
        self.args = args
        self.progress = progress
        torch.manual_seed(0)
        images = torch.randn(args.batch_size, 3, args.image_size, args.image_size, device=args.device)
        self.images = images.to(memory_format=torch.channels_last)

    def __call__(self, title: str, variants: Sequence[Variant], setting: Setting) -> list[dict]:
        """Time the variants, measure their memory, and return a row of the table each."""
        runs = {variant.name: setting.prepare(variant, self.images) for variant in variants}
        rounds = list(self._take_rounds(f'{title}, {setting.mode}, {setting.precision}', runs))
        self.progress.num_done += 1
        return [self._make_row(variant, setting, rounds, runs[variant.name]) for variant in variants]

    def _take_rounds(self, title: str, runs: dict[str, Callable[[], None]]) -> Iterator[dict[str, float]]:
        """Warm up, then yield so many rounds, or those of so many seconds if they are fewer, but at least the minimum."""
        rounds = time_rounds(runs, self.args.device)
        for done in range(self.args.warmup):
            next(rounds)
            self.progress.show(title, done + 1)
        start = time.monotonic()
        for done in range(self.args.rounds):
            if done >= MIN_ROUNDS and time.monotonic() - start > self.args.seconds:
                return
            yield next(rounds)
            self.progress.show(title, self.args.warmup + done + 1)

    def _make_row(
        self, variant: Variant, setting: Setting, rounds: list[dict[str, float]], run: Callable[[], None]
    ) -> dict:
        ratio = compare_rounds(rounds, variant.name, variant.baseline)
        peak = measure_peak_memory(run, self.args.device)
        row = dict(
            network=variant.name,
            baseline=variant.baseline,
            **variant.facts,
            **vars(setting),
            batch_size=self.args.batch_size,
            image_size=self.args.image_size,
            latency_ms=f'{median(times[variant.name] for times in rounds) * 1e3:.4g}',
            ratio=f'{ratio.median:.4f}',
            ratio_low=f'{ratio.low:.4f}',
            ratio_high=f'{ratio.high:.4f}',
            rounds=len(rounds),
            peak_memory_mib=f'{peak / 2**20:.1f}',
            **describe_machine(self.args.device),
        )
        return {column: row.get(column, '') for column in COLUMNS}


def run_overhead(args: argparse.Namespace, networks: Networks, compare: Comparison) -> None:
    variants = networks.build_overhead()
    rows = []
    for setting in args.settings:
        rows += compare('overhead', variants, setting)
        write_rows(args.work_dir / f'plug_overhead{args.suffix}.csv', COLUMNS, rows)
    print(draw_table(rows))


def run_density(args: argparse.Namespace, networks: Networks, compare: Comparison) -> None:
    rows = []
    for name in args.attentions:
        try:
            variants = networks.build_density(name)
        except ImportError as err:
            compare.progress.num_comparisons -= len(args.settings)
            print(f'{name} is left out: {err}')
            continue
        for setting in args.settings:
            rows += compare(name, variants, setting)
            write_rows(args.work_dir / f'plug_density{args.suffix}.csv', COLUMNS, rows)
    if rows:
        draw_density(rows).savefig(args.work_dir / f'plug_density{args.suffix}.png', dpi=120)
        print(draw_table([row for row in rows if row['density'] == 1]))


PARTS = {'overhead': run_overhead, 'density': run_density}


def draw_table(rows: Sequence[dict]) -> str:
    table = Table()
    for header in ('network', 'mode', 'precision'):
        table.add_column(header)
    for header in ('ms', 'of the baseline', 'quartiles', 'params', 'MACs', 'element-wise', 'peak MiB'):
        table.add_column(header, justify='right')
    for row in rows:
        quartiles = f'{float(row["ratio_low"]):.3f} - {float(row["ratio_high"]):.3f}'
        work = (f'{row[key] / 1e6:,.1f} M' for key in ('macs', 'elementwise'))
        cells = (row[key] for key in ('network', 'mode', 'precision', 'latency_ms'))
        ratio = f'{float(row["ratio"]):.3f}'
        table.add_row(*cells, ratio, quartiles, f'{row["params"]:,}', *work, row['peak_memory_mib'])
    return to_text(table, width=160)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure what it costs to plug attention in.')
    parser.add_argument('--work-dir', type=Path, default=Path(__file__).parent / 'results', help='where files go')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS), help='what to compare')
    parser.add_argument('--attentions', nargs='+', choices=ATTENTIONS, default=list(ATTENTIONS), help='of part density')
    parser.add_argument('--modes', nargs='+', choices=MODES, default=list(MODES), help='what to time')
    parser.add_argument('--precisions', nargs='+', choices=PRECISIONS, default=list(PRECISIONS), help='bf16: autocast')
    parser.add_argument('--depth', type=int, help='of the ResNet (default: 50)')
    parser.add_argument('--batch-size', type=int, help='images at once (default: 8)')
    parser.add_argument('--image-size', type=int, help='their height and width (default: 224)')
    parser.add_argument('--rounds', type=int, help='in each, every network runs once (default: 20)')
    parser.add_argument('--warmup', type=int, default=1, help='rounds before them that are not counted')
    parser.add_argument(
        '--seconds', type=float, default=300, help=f'a comparison ends after so long, but has {MIN_ROUNDS} rounds'
    )
    parser.add_argument(
        '--quick', action='store_true', help='ResNet-18, 2 images of 64 x 64, 3 rounds; files ..._quick'
    )
    args = parser.parse_args()
    for name, value in (USUAL | QUICK if args.quick else USUAL).items():
        given = getattr(args, name)
        if given is not None and given < 1:
            parser.error(f'`--{name.replace("_", "-")}` must be at least 1, but got {given!r}.')
        setattr(args, name, value if given is None else given)
    args.suffix = '_quick' if args.quick else ''
    args.device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    args.settings = [Setting(mode, precision) for precision in args.precisions for mode in args.modes]
    return args


def main() -> None:
    args = parse_arguments()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    networks = Networks(args.depth, args.image_size, args.device)
    num_groups = sum(len(args.attentions) if part == 'density' else 1 for part in args.parts)
    progress = Progress(num_groups * len(args.settings), args.warmup + args.rounds)
    with one_sentence():
        for part in args.parts:
            PARTS[part](args, networks, Comparison(args, progress))


if __name__ == '__main__':
    main()

"""What SupernetHook costs: a training iteration with it beside the same iteration without, in turns, in one run.

python -m benchmarks.plugging.supernet --quick    # two images of 32 x 32: shows in a minute that everything runs
python -m benchmarks.plugging.supernet            # the demo network, and ResNet-50 at 8 x 64 x 64

The hook does two things in an iteration: it draws and sets a scheme, and it looks at all gradients before the optimizer's step.
The same network runs without both under the very schemes that the hook draws, set while no clock runs, and under schemes that
connect half of the blocks and never had a hook.
"""

# ruff: noqa: E402 (without mmengine the imports below would end in a traceback)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import mean, median
from types import SimpleNamespace
from typing import Any, cast

import torch
from rich.table import Table
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer

from ean_mm.analysis import compare_rounds, time_rounds
from ean_mm.hooks import SupernetHook
from ean_mm.launch import one_sentence
from ean_mm.models import EANBackbone
from ean_mm.structures import ConnectionScheme
from ean_mm.structures.scheme_sampling import SAMPLINGS, sample_scheme
from ean_mm.visualization import to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows
from ..speed.cases import DEMO, NUM_CLASSES, RESNET50, RandomNetwork
from .networks import spread_evenly

HOOKED, SAME, HALF, APART = 'SupernetHook', 'same schemes', 'half of the blocks', 'taken apart'
SECONDS_BETWEEN_LINES = 20
COLUMNS = (
    *('network', 'sampling', 'batch_size', 'image_size', 'density', 'iteration_ms'),
    *('baseline', 'baseline_density', 'ratio', 'ratio_low', 'ratio_high'),
    *('draw_us', 'guard_us', 'own_share', 'rounds', *MACHINE_COLUMNS),
)


@dataclass(frozen=True)
class Case:
    """What is trained: arguments of ``EANBackbone``, and one batch."""

    network: dict
    batch_size: int
    image_size: int


CASES = {'demo': Case(DEMO, 50, 32), 'resnet50': Case(RESNET50, 8, 64)}


@dataclass
class Parts:
    """Microseconds of what the hook does, one entry per iteration."""

    draw: list[float] = field(default_factory=list)
    guard: list[float] = field(default_factory=list)


class Training:
    """One network on one batch of random images, with the hook and without, always on the same weights.

    Args:
        case: what is trained.
        sampling: of the hook.
        device: where.

    Attributes:
        parts: of every iteration of ``iterate_apart``.
    """

    def __init__(self, case: Case, sampling: str, device: torch.device):
        torch.manual_seed(0)
        self.sampling = sampling
        self.device = device
        self.backbone = EANBackbone(**case.network)
        self.model = RandomNetwork(self.backbone, self.backbone.sites[-1].channels).to(device).train()
        self.images = torch.randn(case.batch_size, 3, case.image_size, case.image_size, device=device)
        self.labels = torch.randint(NUM_CLASSES, (case.batch_size,), device=device)
        self.runner: Any = SimpleNamespace(model=self.model, iter=-1)
        self.bare, self.hooked, self.clocked = (self._build_optimizer() for _ in range(3))
        self.hook = self._plug_hook(self.hooked)
        self.parts = Parts()
        self.clocked.register_step_pre_hook(self._start_clock)
        self.clocked_hook = self._plug_hook(self.clocked)
        self.clocked.register_step_pre_hook(self._stop_clock)

    def drawn(self, iteration: int) -> ConnectionScheme:
        """What the hook draws for an iteration."""
        return sample_scheme(self.backbone.blocks_per_stage, self.sampling, self.hook.seed, iteration)

    def half(self, iteration: int) -> ConnectionScheme:
        """Every second block, and the others in the next pair of iterations: together exactly half."""
        scheme = spread_evenly(0.5, self.backbone.blocks_per_stage)
        mask = scheme.mask if iteration // 2 % 2 else ~scheme.mask
        return ConnectionScheme.from_mask(mask, self.backbone.blocks_per_stage)

    def time_rounds(self) -> Iterator[dict[str, float]]:
        """Seconds of each way, round after round; the hook comes first in every second one, as a new scheme may cost more."""
        rest = {
            'set half': lambda: self.backbone.set_scheme(self.half(self.runner.iter)),
            HALF: partial(self.iterate, self.bare),
            APART: self.iterate_apart,
        }
        hooked, bare = {HOOKED: self.iterate_hooked}, {SAME: partial(self.iterate, self.bare)}
        bare_first = {'set': partial(self.go_on, True), **bare, **hooked, **rest}
        hook_first = {'go on': partial(self.go_on, False), **hooked, **bare, **rest}
        return map(next, cycle([time_rounds(runs, self.device) for runs in (bare_first, hook_first)]))

    def go_on(self, sets_scheme: bool) -> None:
        """Begin an iteration, and set its scheme if nobody else will before the first way runs."""
        self.runner.iter += 1
        if sets_scheme:
            self.backbone.set_scheme(self.drawn(self.runner.iter))

    def iterate(self, optimizer: Optimizer) -> None:
        """Forward, backward, step."""
        loss = cross_entropy(self.model(self.images), self.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def iterate_hooked(self) -> None:
        self.hook.before_train_iter(self.runner, self.runner.iter)
        self.iterate(self.hooked)

    def iterate_apart(self) -> None:
        start = self._read_clock()
        self.clocked_hook.before_train_iter(self.runner, self.runner.iter)
        self.parts.draw.append((self._read_clock() - start) * 1e6)
        self.iterate(self.clocked)

    def _build_optimizer(self) -> SGD:
        return SGD(self.model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def _plug_hook(self, optimizer: Optimizer) -> SupernetHook:
        hook = SupernetHook(sampling=self.sampling)
        self.runner.optim_wrapper = SimpleNamespace(optimizer=optimizer)
        hook.before_train(self.runner)
        return hook

    def _start_clock(self, *_: object) -> None:
        self._guard_start = self._read_clock()

    def _stop_clock(self, *_: object) -> None:
        self.parts.guard.append((self._read_clock() - self._guard_start) * 1e6)

    def _read_clock(self) -> float:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def measure(name: str, args: argparse.Namespace) -> list[dict]:
    """Train, and return a row of the table per baseline."""
    case = CASES[name]
    if args.quick:
        case = replace(case, batch_size=2, image_size=32)
    training = Training(case, args.sampling, args.device)
    rounds = list(take_rounds(name, training, args.warmup, args.rounds))
    draw, guard = (median(part[args.warmup :]) for part in (training.parts.draw, training.parts.guard))
    numbers = range(args.warmup, args.warmup + args.rounds)
    densities = {SAME: mean(training.drawn(i).density for i in numbers)}
    densities[HALF] = mean(training.half(i).density for i in numbers)
    rows = []
    for baseline, density in densities.items():
        ratio = compare_rounds(rounds, HOOKED, baseline)
        rows.append(
            dict(
                network=name,
                sampling=args.sampling,
                batch_size=case.batch_size,
                image_size=case.image_size,
                density=f'{densities[SAME]:.3f}',
                iteration_ms=f'{median(times[HOOKED] for times in rounds) * 1e3:.4g}',
                baseline=baseline,
                baseline_density=f'{density:.3f}',
                ratio=f'{ratio.median:.4f}',
                ratio_low=f'{ratio.low:.4f}',
                ratio_high=f'{ratio.high:.4f}',
                draw_us=f'{draw:.1f}',
                guard_us=f'{guard:.1f}',
                own_share=f'{(draw + guard) / 1e6 / median(times[baseline] for times in rounds):.4f}',
                rounds=len(rounds),
                **describe_machine(args.device),
            )
        )
    return rows


def take_rounds(name: str, training: Training, num_warmup: int, num_rounds: int) -> Iterator[dict[str, float]]:
    """Warm up, then yield so many rounds."""
    rounds, total = training.time_rounds(), num_warmup + num_rounds
    start = last_line = time.monotonic()
    for done in range(1, total + 1):
        times = next(rounds)
        if done > num_warmup:
            yield times
        now = time.monotonic()
        if now - last_line >= SECONDS_BETWEEN_LINES:
            last_line = now
            left = (now - start) / done * (total - done)
            print(f'{name}: round {done} of {total}, about {left:.0f} s left for it', flush=True)


def draw_table(rows: Sequence[dict]) -> str:
    table = Table(title='One training iteration with SupernetHook', title_justify='left')
    for header in ('network', 'images', 'beside'):
        table.add_column(header)
    for header in ('ms', 'of the baseline', 'quartiles', 'draw us', 'guard us', 'own share'):
        table.add_column(header, justify='right')
    for row in rows:
        images = f'{row["batch_size"]} x {row["image_size"]} x {row["image_size"]}'
        beside = f'{row["baseline"]} ({float(row["baseline_density"]):.0%})'
        quartiles = f'{row["ratio_low"]} - {row["ratio_high"]}'
        times = (row[key] for key in ('draw_us', 'guard_us'))
        share = f'{float(row["own_share"]):.2%}'
        table.add_row(row['network'], images, beside, row['iteration_ms'], row['ratio'], quartiles, *times, share)
    return to_text(table, width=140)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure what SupernetHook adds to a training iteration.')
    parser.add_argument('--work-dir', type=Path, default=Path(__file__).parent / 'results', help='where files go')
    parser.add_argument('--networks', nargs='+', choices=CASES, default=list(CASES), help='what to train')
    parser.add_argument('--sampling', choices=SAMPLINGS, default='stratified', help="the hook's")
    parser.add_argument('--rounds', type=int, help='in each, every way runs once (default: 100)')
    parser.add_argument('--warmup', type=int, default=4, help='rounds before them that are not counted')
    parser.add_argument('--quick', action='store_true', help='2 images of 32 x 32, 4 rounds; file ..._quick')
    args = parser.parse_args()
    if args.rounds is None:
        args.rounds = 4 if args.quick else 100
    for name, least in (('rounds', 1), ('warmup', 0)):
        if getattr(args, name) < least:
            parser.error(f'`--{name}` must be at least {least}, but got {getattr(args, name)!r}.')
    args.device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    return args


def main() -> None:
    args = parse_arguments()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    path = cast(Path, args.work_dir) / f'supernet_overhead{"_quick" if args.quick else ""}.csv'
    rows: list[dict] = []
    with one_sentence():
        for name in args.networks:
            rows += measure(name, args)
            write_rows(path, COLUMNS, rows)
    print(draw_table(rows))
    print(f'Table: {path}')


if __name__ == '__main__':
    main()

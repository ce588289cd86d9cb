"""How the cost of attention grows with the map: ours, mmcv's NonLocal2d and the published implementation, side by side.

python -m benchmarks.scaling.attention --quick                       # small maps: shows in a minute that everything runs
python -m benchmarks.scaling.attention --reference PATH_TO_FILE      # README.md beside this file says where the file comes from

Time and peak memory of one map of 16 x 16 to 512 x 512 pixels, in inference and in training. What takes too long or more
memory than there is is skipped, and its row says why.
"""

# ruff: noqa: E402 (without mmengine, or too late for torch's profiler, what the imports below need would be missing)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import os

os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # read when torch loads; its profiler would log each measurement

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median

import torch
from rich.table import Table

from ean_mm.analysis import compare_rounds, measure_peak_memory, time_rounds
from ean_mm.launch import one_sentence
from ean_mm.visualization import to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows
from .cases import MODES, NON_LOCAL, OURS, REFERENCE, Bench, Case, Variant, load_reference
from .figure import QUANTITIES, UNITS, draw_scaling, fit_exponent, group_lines
from .targets import check_targets

Run = Callable[[], None]
MIN_ROUNDS = 5
USUAL = dict(sizes=[16, 32, 64, 128, 256, 512], channels=[64, 256], rounds=100, seconds=20.0, time_limit=20.0)
QUICK = dict(sizes=[32, 64, 128, 256], channels=[64], rounds=MIN_ROUNDS, seconds=1.0, time_limit=2.0)
COLUMNS = (
    *('method', 'heads', 'channels', 'mode', 'size', 'pixels', 'latency_ms', 'baseline', 'ratio', 'ratio_low'),
    *('ratio_high', 'rounds', 'peak_memory_mib', 'skipped', *MACHINE_COLUMNS),
)


class Comparison:
    """Runs attentions side by side, in turns, on maps that grow.

    Args:
        args: of the command line.
        bench: builds them.
    """

    def __init__(self, args: argparse.Namespace, bench: Bench):
        self.args = args
        self.bench = bench
        self.machine = describe_machine(args.device)
        self._ended: dict[tuple[Variant, int, str], str] = {}

    def __call__(self, case: Case, baselines: Mapping[Variant, Variant]) -> Iterator[dict]:
        """Yield a row of the table for each variant: its time, relative to its baseline's if that runs too, and its memory."""
        start = time.monotonic()
        runs: dict[Variant, Run] = {}
        skipped = {variant: self._try(variant, case, runs) for variant in baselines}
        wanted = set(runs)
        for baseline in {baselines[variant] for variant in wanted} - baselines.keys():
            self._try(baseline, case, runs)
        rounds = self._take_rounds(runs) if wanted else []
        methods = ' and '.join(dict.fromkeys(variant.method for variant in baselines))
        for variant, baseline in baselines.items():
            row = dict(method=variant.method, heads=variant.num_heads, **vars(case), pixels=case.size**2)
            row |= dict(latency_ms='', peak_memory_mib='', skipped=skipped[variant], **self.machine)
            if variant in wanted:
                row |= self._describe(variant, baseline if baseline in runs else variant, rounds)
                row['peak_memory_mib'] = f'{measure_peak_memory(runs[variant], self.args.device) / 2**20:.4g}'
            yield row
        print(f'{case}, {methods}: {len(rounds)} rounds in {time.monotonic() - start:.0f} s', flush=True)

    def _try(self, variant: Variant, case: Case, runs: dict[Variant, Run]) -> str:
        """Call a variant once and add it to what is to be timed, or return why it is not."""
        family = (variant, case.channels, case.mode)
        reason = self.bench.is_too_large(variant, case) or self._ended.get(family)
        if reason:
            return reason
        try:
            run = self.bench.prepare(variant, case)
            seconds = next(time_rounds({variant: run}, self.args.device))[variant]
        except (RuntimeError, MemoryError) as err:
            if not is_out_of_memory(err):
                raise
            return f'no memory: {str(err).splitlines()[0]}'
        if seconds > self.args.time_limit:
            reason = f'one call took {seconds:.1f} s, the limit is {self.args.time_limit:g} s'
            self._ended[family] = f'{case.size} x {case.size}: {reason}; larger maps not tried'
            return reason
        runs[variant] = run
        return ''

    def _take_rounds(self, runs: dict[Variant, Run]) -> list[dict[Variant, float]]:
        """So many rounds, or those of so many seconds if they are fewer, but at least the minimum."""
        rounds = time_rounds(runs, self.args.device)
        for _ in range(self.args.warmup):
            next(rounds)
        kept: list[dict[Variant, float]] = []
        start = time.monotonic()
        while len(kept) < self.args.rounds and (len(kept) < MIN_ROUNDS or time.monotonic() - start < self.args.seconds):
            kept.append(next(rounds))
        return kept

    def _describe(self, variant: Variant, baseline: Variant, rounds: Sequence[dict[Variant, float]]) -> dict:
        ratio = compare_rounds(rounds, variant, baseline)
        return dict(
            latency_ms=f'{median(times[variant] for times in rounds) * 1e3:.4g}',
            baseline=str(baseline),
            ratio=f'{ratio.median:.4f}',
            ratio_low=f'{ratio.low:.4f}',
            ratio_high=f'{ratio.high:.4f}',
            rounds=len(rounds),
        )


def is_out_of_memory(err: BaseException) -> bool:
    """Whether an allocation has failed; of the CPU's allocator the message alone tells."""
    return isinstance(err, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(err)


def plan(heads: Sequence[int], has_reference: bool) -> list[dict[Variant, Variant]]:
    """The comparisons of a case: each attention with its baseline.

    NonLocal2d is compared apart: what follows it finds the caches full of an n x n map.
    """
    linear: dict[Variant, Variant] = {}
    for num_heads in heads:
        ours, reference = Variant(OURS, num_heads), Variant(REFERENCE, num_heads)
        linear |= {ours: reference, reference: reference} if has_reference else {ours: ours}
    return [linear, {Variant(NON_LOCAL): Variant(OURS)}]


def run(args: argparse.Namespace) -> list[dict]:
    """Measure every case; the table is written after each."""
    compare = Comparison(args, Bench(args.device, args.reference))
    comparisons = plan(args.heads, args.reference is not None)
    rows: list[dict] = []
    for channels, mode, size in product(args.channels, args.modes, sorted(args.sizes)):
        for baselines in comparisons:
            rows += compare(Case(channels, mode, size), baselines)
        write_rows(args.work_dir / f'attention_scaling{args.suffix}.csv', COLUMNS, rows)
    return rows


def draw_table(rows: Sequence[dict], quantity: str) -> str:
    """A line per attention and setting, a column per size."""
    table = Table(title=f'{QUANTITIES[quantity]} ({UNITS[quantity]})', title_justify='left')
    for header in ('attention', 'channels', 'mode'):
        table.add_column(header, no_wrap=True)
    sizes = sorted({row['size'] for row in rows})
    for header in (*(f'{size} x {size}' for size in sizes), 'exponent'):
        table.add_column(header, justify='right')
    for channels, mode in dict.fromkeys((row['channels'], row['mode']) for row in rows):
        lines = group_lines([row for row in rows if (row['channels'], row['mode']) == (channels, mode)])
        for attention, line in lines.items():
            cells = {row['size']: row[quantity] or 'skipped' for row in line}
            exponent = fit_exponent(line, quantity)
            fitted = '' if exponent is None else f'{exponent:.2f}'
            table.add_row(str(Variant(*attention)), str(channels), mode, *(cells[size] for size in sizes), fitted)
        table.add_section()
    return to_text(table, width=160)


def draw_targets(rows: Sequence[dict]) -> str:
    """What was expected beside what came out."""
    table = Table(title='Targets', title_justify='left')
    for header in ('what', 'wanted', 'came out', ''):
        table.add_column(header)
    for target in check_targets(rows):
        table.add_row(target.what, target.wanted, target.found, target.verdict)
    return to_text(table, width=160)


def describe_skipped(rows: Sequence[dict]) -> list[str]:
    """A line per row that was skipped."""
    lines = []
    for row in rows:
        if row['skipped']:
            variant, case = Variant(row['method'], row['heads']), Case(row['channels'], row['mode'], row['size'])
            lines.append(f'Skipped: {variant}, {case}: {row["skipped"]}')
    return lines


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure how time and memory of attention grow with the map.')
    parser.add_argument('--work-dir', type=Path, default=Path(__file__).parent / 'results', help='where files go')
    parser.add_argument(
        '--reference',
        type=Path,
        help='efficient_attention.py of github.com/cmsflash/efficient-attention; left out without',
    )
    parser.add_argument('--sizes', nargs='+', type=int, help='height and width (default: 16 32 64 128 256 512)')
    parser.add_argument('--channels', nargs='+', type=int, help='of the map (default: 64 256)')
    parser.add_argument('--heads', nargs='+', type=int, default=[1, 8], help='NonLocal2d has one (default: 1 8)')
    parser.add_argument('--modes', nargs='+', choices=MODES, default=list(MODES), help='what to time')
    parser.add_argument('--rounds', type=int, help='in each, every attention runs once (default: 100)')
    parser.add_argument('--warmup', type=int, default=1, help='rounds before them that are not counted')
    parser.add_argument(
        '--seconds', type=float, help=f'a comparison ends after so long, but has {MIN_ROUNDS} rounds (default: 20)'
    )
    parser.add_argument('--time-limit', type=float, help='seconds; what takes longer is skipped (default: 20)')
    parser.add_argument(
        '--quick',
        action='store_true',
        help='32 x 32 to 256 x 256, 64 channels, a limit of two seconds; files ..._quick',
    )
    args = parser.parse_args()
    for name, value in (USUAL | QUICK if args.quick else USUAL).items():
        given = getattr(args, name)
        setattr(args, name, value if given is None else given)
    for name, least in dict(sizes=1, channels=2, heads=1, rounds=1, warmup=0).items():
        given = getattr(args, name)
        if (min(given) if isinstance(given, list) else given) < least:
            parser.error(f'`--{name}` must be at least {least}, but got {given!r}.')
    try:
        args.reference = args.reference and load_reference(args.reference)
    except ValueError as err:
        parser.error(str(err))
    args.suffix = '_quick' if args.quick else ''
    args.device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    return args


def main() -> None:
    args = parse_arguments()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    if args.reference is None:
        print('The published implementation is left out: no `--reference` is given.')
    with one_sentence():
        rows = run(args)
    path = args.work_dir / f'attention_scaling{args.suffix}.csv'
    draw_scaling(rows).savefig(path.with_suffix('.png'), dpi=120)
    tables = (draw_table(rows, quantity) for quantity in QUANTITIES)
    print(*tables, *describe_skipped(rows), draw_targets(rows), sep='\n')
    print(f'Table and picture: {path}, {path.with_suffix(".png")}')


if __name__ == '__main__':
    main()

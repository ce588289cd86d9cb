"""How much faster a search is that computes nothing twice: a recorded search, scored in several ways in one run.

python -m benchmarks.speed.search --quick                  # every case in little: shows that everything runs
python -m benchmarks.speed.search --cases resnet50-128     # README.md beside this file lists the cases

Ways: `naive` scores every proposal in full, in fp32; `memory` every distinct one; `precision` is naive in the fastest
precision of the machine; `exact` shares what schemes have in common, under activation budgets, in fp32; `fast` does so in the
fastest precision. All see the same network, the same images and the same proposals, step by step as they were made.
"""

# ruff: noqa: E402 (without mmengine the imports below would end in a traceback)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
import csv
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

import torch

from ean_mm.evaluation import NumericMode, SharedScorer, SupernetScorer
from ean_mm.launch import one_sentence
from ean_mm.structures import ConnectionScheme

from ..side_by_side import MACHINE_COLUMNS, describe_machine, read_peak_memory, reset_peak_memory, write_rows
from .cases import CASES, METRIC, Case, Search, build_search
from .figure import draw_speed
from .table import describe_limits, draw_table

UNLIMITED = 2**62
SECONDS_BETWEEN_LINES = 20
COLUMNS = (
    *(
        'case',
        'way',
        'budget_gib',
        'seconds',
        'is_extrapolated',
        'speedup',
        'limit_memory',
        'limit_sharing',
        'limit_time',
    ),
    *('num_proposals', 'num_distinct', 'num_scored', 'computed_share', 'held_mib', 'peak_memory_mib', 'startup_s'),
    *('num_compared', 'num_identical', 'max_difference', 'regret'),
    *('image_size', 'num_images', 'num_calibration', 'batch_size', *MACHINE_COLUMNS),
)


# -- the only place that knows the scorer --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scorer:
    """What is timed.

    Attributes:
        score_many: scores distinct schemes together.
        facts: block-images computed, block-images of a naive search, and the bytes of activations held at the worst moment.
    """

    score_many: Callable[[Sequence[ConnectionScheme]], list[float]]
    facts: Callable[[], tuple[int, int, int] | None]


PRECISIONS = {'naive': 'float32', 'precision': 'fastest', 'exact': 'float32', 'fast': 'fastest'}
ENGINES = ('exact', 'fast')


def build_scorer(search: Search, way: str, budget: float) -> Scorer:
    """The scorer of a way, with a budget in bytes for those that share."""
    device = next(search.model.parameters()).device
    mode = NumericMode.named(PRECISIONS[way], device)
    model = mode.convert(search.model)
    parts = (model, model.backbone, search.dataloader, search.evaluator, METRIC, search.calibration)
    plain = SupernetScorer(*parts, numeric_mode=mode)
    if way not in ENGINES:
        return Scorer(lambda schemes: [each.metric for each in plain.score_many(schemes)], lambda: None)
    scorer = SharedScorer(plain, activation_budget=UNLIMITED if budget == inf else int(budget))

    def read_facts() -> tuple[int, int, int]:
        return scorer.facts.block_images, scorer.facts.naive_block_images, scorer.facts.peak_bytes

    return Scorer(lambda schemes: [each.metric for each in scorer.score_many(schemes)], read_facts)


# -- timing --------------------------------------------------------------------------------------------------------------


@dataclass
class Pass:
    """One way through the proposals.

    Attributes:
        seconds: for what was scored, or scaled up to all proposals.
        num_scored: how many scorings were measured.
        scores: of every scheme that was scored.
        facts: for the table.
    """

    seconds: float = 0.0
    num_scored: int = 0
    scores: dict[ConnectionScheme, float] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)


class Timer:
    """Takes passes through a case.

    Args:
        name: of the case.
        case: what is searched.
        device: where.
    """

    def __init__(self, name: str, case: Case, device: torch.device):
        self.name = name
        self.case = case
        self.device = device

    def take(self, mode: str, budget: float, steps: Sequence[Sequence[ConnectionScheme]], is_naive: bool) -> Pass:
        """Score the proposals of ``steps`` on a network built anew.

        Args:
            mode: a key of ``PRECISIONS``.
            budget: for activations, in bytes.
            steps: what is scored, step by step.
            is_naive: whether a scheme that comes again is scored again.
        """
        gc.collect()
        start = time.perf_counter()
        search = build_search(self.case, self.device)
        scorer = build_scorer(search, mode, budget)
        if mode not in ENGINES:
            scorer.score_many(steps[0][:1])  # the first pass of a process is slower than any other
        taken = Pass(facts=dict(startup_s=f'{time.perf_counter() - start:.2f}'))
        reset_peak_memory(self.device)
        last_line = time.monotonic()
        for done, step in enumerate(steps):
            schemes = list(step) if is_naive else [s for s in dict.fromkeys(step) if s not in taken.scores]
            start = time.perf_counter()
            scores = scorer.score_many(schemes) if schemes else []
            taken.seconds += time.perf_counter() - start
            taken.num_scored += len(schemes)
            taken.scores.update(zip(schemes, scores, strict=True))
            if time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                print(f'{self.name}, {mode}: {done + 1} of {len(steps)}, {taken.seconds:.0f} s', flush=True)
        taken.facts['peak_memory_mib'] = read_peak_memory(self.device)
        counted = scorer.facts()
        if counted is not None:
            computed, naive, held = counted
            taken.facts |= dict(computed_share=f'{computed / naive:.4f}', held_mib=f'{held / 2**20:.1f}')
        return taken


# -- one case ------------------------------------------------------------------------------------------------------------


def run_case(name: str, args: argparse.Namespace) -> list[dict]:
    """Time all ways through a case; a row each, the naive one first."""
    case = choose_sizes(CASES[name], args)
    timer = Timer(name, case, args.device)
    search = build_search(case, args.device)
    facts, (weights, rest) = search.count(), search.count_macs()
    common = dict(
        case=name,
        num_proposals=facts.num_proposals,
        num_distinct=facts.num_distinct,
        limit_memory=f'{facts.memory_limit:.3f}',
        limit_sharing=f'{facts.sharing_limit(weights, rest):.3f}',
        limit_time=f'{facts.sharing_limit(*search.time_blocks()):.3f}',
        **{key: getattr(case, key) for key in ('image_size', 'num_images', 'num_calibration', 'batch_size')},
        **describe_machine(args.device),
    )
    sample = pick(list(dict.fromkeys(search.schemes)), args.full_scorings)
    steps = search.steps if args.full_naive else [(scheme,) for scheme in sample]
    full = timer.take('naive', 0, steps, is_naive=True)
    per_scoring = full.seconds / full.num_scored
    naive_seconds = per_scoring * facts.num_proposals
    faster = timer.take('precision', 0, [(scheme,) for scheme in sample], is_naive=True)
    passes: list[tuple[str, float | str, float, bool, Pass]] = [
        ('naive', '', naive_seconds, full.num_scored != facts.num_proposals, full),
        ('memory', '', per_scoring * facts.num_distinct, full.num_scored != facts.num_distinct, full),
        ('precision', '', faster.seconds / faster.num_scored * facts.num_proposals, True, faster),
    ]
    for mode in args.modes:
        for budget in case.budgets:
            taken = timer.take(mode, budget * 2**30, search.steps, is_naive=False)
            passes.append((mode, budget, taken.seconds, False, taken))
            print(f'{name}, {mode}, {budget:g} GiB: {naive_seconds / taken.seconds:.2f} x', flush=True)
    return [
        common
        | taken.facts
        | (compare(full.scores, taken.scores) if taken is not full else {})
        | dict(way=way, budget_gib=budget, seconds=f'{seconds:.3f}', is_extrapolated=is_extrapolated)
        | dict(speedup=f'{naive_seconds / seconds:.3f}', num_scored=taken.num_scored)
        for way, budget, seconds, is_extrapolated, taken in passes
    ]


def choose_sizes(case: Case, args: argparse.Namespace) -> Case:
    """The case with the sizes of the command line in place of its own."""
    names = ('image_size', 'num_images', 'batch_size', 'num_calibration', 'num_steps', 'budgets')
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return replace(case.shrink() if args.quick else case, **given)


def pick(schemes: Sequence[ConnectionScheme], count: int | None) -> list[ConnectionScheme]:
    """So many of the schemes, at equal distances; all if there are no more, or for None."""
    if count is None or count >= len(schemes):
        return list(schemes)
    return [schemes[int((i + 0.5) * len(schemes) / count)] for i in range(count)]


def compare(reference: dict[ConnectionScheme, float], scores: dict[ConnectionScheme, float]) -> dict[str, object]:
    """How scores differ from those of full scorings, over the schemes that have both.

    ``regret`` is what the best scheme by ``scores`` lacks, in full scores, to the best there is.
    """
    both = [scheme for scheme in reference if scheme in scores]
    chosen = max(both, key=scores.__getitem__)
    return dict(
        num_compared=len(both),
        num_identical=sum(reference[scheme] == scores[scheme] for scheme in both),
        max_difference=f'{max(abs(reference[scheme] - scores[scheme]) for scheme in both):.3g}',
        regret=f'{max(reference[scheme] for scheme in both) - reference[chosen]:.3g}',
    )


# -- output --------------------------------------------------------------------------------------------------------------


def merge_rows(path: Path, rows: Sequence[dict]) -> list[dict]:
    """The rows of a table that is there already, those of cases measured anew replaced."""
    kept: list[dict] = []
    if path.exists():
        with path.open(newline='') as file:
            kept = [dict(row) for row in csv.DictReader(file)]
    measured = {row['case'] for row in rows}
    return [*(row for row in kept if row['case'] not in measured), *rows]


def at_least(least: int) -> Callable[[str], int]:
    """A reader of whole numbers for the command line."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f'must be a whole number of at least {least}, but got {text!r}.')
        return int(text)

    return read


def read_budget(text: str) -> float:
    try:
        budget = float(text)
    except ValueError:
        budget = -1
    if not budget >= 0:
        raise argparse.ArgumentTypeError(f"must be GiB, a number of at least 0 or 'inf', but got {text!r}.")
    return budget


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure how much faster a search is that computes nothing twice.')
    parser.add_argument('--work-dir', type=Path, default=Path(__file__).parent / 'results', help='where files go')
    parser.add_argument('--cases', nargs='+', choices=CASES, default=list(CASES), help='what is searched')
    parser.add_argument('--modes', nargs='*', choices=ENGINES, default=list(ENGINES), help='none leaves engines out')
    parser.add_argument('--budgets', nargs='+', type=read_budget, help='for activations; inf: no limit')
    parser.add_argument('--full-scorings', type=at_least(1), help='so many in full, not every distinct scheme')
    parser.add_argument('--full-naive', action='store_true', help='score every proposal in full, extrapolate nothing')
    parser.add_argument('--image-size', type=at_least(1), help='height and width')
    parser.add_argument('--num-images', type=at_least(1), help='reward images')
    parser.add_argument('--batch-size', type=at_least(1), help='images at once')
    parser.add_argument('--num-calibration', type=at_least(0), help='images of recalibration; 0: none')
    parser.add_argument('--num-steps', type=at_least(1), help='only the first so many of a trace')
    parser.add_argument('--quick', action='store_true', help='4 images of 32 x 32, 4 steps; files ..._quick')
    args = parser.parse_args()
    args.budgets = args.budgets and tuple(sorted(args.budgets))
    args.suffix = '_quick' if args.quick else ''
    args.device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    return args


def main() -> None:
    args = parse_arguments()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    path = args.work_dir / f'search_speed{args.suffix}.csv'
    with one_sentence():
        for name in args.cases:
            rows = run_case(name, args)
            write_rows(path, COLUMNS, merge_rows(path, rows))
            if any(row['way'] in ENGINES for row in rows):
                draw_speed(rows).savefig(args.work_dir / f'search_speed_{name}{args.suffix}.png', dpi=120)
            print(draw_table(rows))
            print(describe_limits(rows))


if __name__ == '__main__':
    main()

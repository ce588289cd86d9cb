"""How soon strategies close in on the best scheme: each over many seeds, on tables of all scores and on synthetic landscapes.

python -m benchmarks.strategies.regret --quick              # few seeds, little budgets
python -m benchmarks.strategies.regret                      # all cases
python -m benchmarks.strategies.regret --cases own --atlas work_dirs/resnet20_se_digits/atlas.csv    # a table of one's own

Cases: `resnet20` (512 schemes) and `regnet14` (16,384) are tables in `atlases`, made of the network of cued digits and of
`regnet14_se_digits.py`; `own` is the table given by --atlas, with reward, least size and number of images of
--config; `synthetic` is a table of 512 synthetic scores per seed. `sites33` and `sites54` are synthetic accuracies with
effects of sites and of neighbouring pairs, one landscape per seed. Strategies run with their defaults, which were chosen on
other landscapes (other seeds, and other kinds as well: dense pairs, saturation, interactions of many sites).
"""

# ruff: noqa: E402 (without mmengine the imports below would end in a traceback)
from __future__ import annotations

from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from ean_mm.launch import one_sentence
from ean_mm.launch.arguments import find_search_hook
from ean_mm.registry import STRATEGIES, build_from
from ean_mm.search import Atlas, Budget, Reward, SearchLoop, SearchRecord, SearchSpace, one_by_one, seeded_generator
from ean_mm.search.strategies.pair_maximum import climb
from ean_mm.search.strategies.pair_model import Functions
from ean_mm.structures import ConnectionScheme

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows
from ..speed.record_traces import SyntheticAccuracy
from .figure import draw_strategies
from .table import describe_targets, draw_table

CONFIG = Path(__file__).resolve().parents[2] / 'configs/ean/resnet20_se_digits.py'
ATLASES = Path(__file__).resolve().parent / 'atlases'
TABLES = {  # file, and how many reward images its scores are of
    'resnet20': ('resnet20_se_digits.csv', 2000),
    'regnet14': ('regnet14_se_digits.csv', 250),
}
TABLE_REWARD, TABLE_LEAST = Reward(sparsity_weight=1.0), 3  # of both networks' configs
STRATEGY_CONFIGS = {
    'ours': dict(type='ean_mm.PairSurrogate', num_steps=300),
    'random': dict(type='ean_mm.RandomSearch'),
    'paper': dict(type='ean_mm.Reinforce', preset='paper'),
    'corrected': dict(type='ean_mm.Reinforce', preset='corrected'),
    'evolution': dict(type='ean_mm.RegularizedEvolution'),
    'tpe': dict(type='ean_mm.OptunaSampler', num_steps=300),
}
LAYOUTS = {'sites33': (3, 4, 23, 3), 'sites54': (18, 18, 18)}
DEFAULT_CASES = (*TABLES, *LAYOUTS)
CASES = (*DEFAULT_CASES, 'own', 'synthetic')
ATLAS_LAYOUT = (3, 3, 3)
ATLAS_NOISE = 0.3  # of a synthetic table, in points: what no effect of sites or pairs explains
NUM_STARTS = 400
MARKS = (32, 64, 90, 160)  # distinct schemes
COLUMNS = (
    *('case', 'strategy', 'seed', 'num_proposals', 'num_distinct', 'seconds', *(f'regret_{mark}' for mark in MARKS)),
    *('regret_tenth', 'regret', 'standard_error', 'ticket', *MACHINE_COLUMNS),
)


# -- landscapes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Landscape:
    """What a search scores.

    Attributes:
        score: the metric of a scheme.
        blocks_per_stage: layout.
        reward: makes a reward of a metric and a mask.
        best: the highest reward that a ticket can have, or the highest that is known.
        standard_error: of the reward; a smaller regret counts as none.
        min_connected: smaller schemes do not become the ticket.
    """

    score: Callable[[ConnectionScheme], float]
    blocks_per_stage: tuple[int, ...]
    reward: Reward
    best: float
    standard_error: float
    min_connected: int = 0


def read_table(path: str | Path, reward: Reward, min_connected: int, num_images: int) -> Landscape:
    """The table of a real network."""
    atlas = Atlas.load(path)
    scheme, best = atlas.best(reward, min_connected)
    share = atlas(scheme) / 100
    error = 100 * (share * (1 - share) / num_images) ** 0.5
    return Landscape(atlas, atlas.blocks_per_stage, reward, best, error, min_connected)


def read_own(path: str, config: str) -> Landscape:
    """The table of a real network, with reward, least size and number of images of a config."""
    cfg = Config.fromfile(config)
    hook, num_images = find_search_hook(cfg), cfg.val_dataloader.dataset.num_scenes
    return read_table(path, Reward(**hook.reward), hook.get('min_connected', 0), num_images)


def make_table(seed: int) -> Landscape:
    """A table of all schemes of nine sites: main effects, pairs of neighbours, and noise that belongs to the scheme."""
    accuracy = SyntheticAccuracy(sum(ATLAS_LAYOUT), seed)
    schemes = list(ConnectionScheme.every(ATLAS_LAYOUT))
    draws = seeded_generator(seed, 0, 'noise of a synthetic table')
    noise = ATLAS_NOISE * torch.randn(len(schemes), generator=draws, dtype=torch.float64, device='cpu')
    atlas = Atlas({scheme: accuracy(scheme.mask) + each for scheme, each in zip(schemes, noise.tolist(), strict=True)})
    return Landscape(atlas, ATLAS_LAYOUT, Reward(), atlas.best(Reward())[1], ATLAS_NOISE)


def make_landscape(blocks_per_stage: tuple[int, ...], seed: int) -> Landscape:
    """A synthetic accuracy of many sites; its best is what climbing from many random schemes finds."""
    n = sum(blocks_per_stage)
    accuracy = SyntheticAccuracy(n, seed)
    starts = np.random.default_rng(seed).random((NUM_STARTS, n)) < 0.5
    best = max(accuracy(mask) for mask in np.unique(climb(_to_functions(accuracy), starts)[0], axis=0))
    return Landscape(lambda scheme: accuracy(scheme.mask), blocks_per_stage, Reward(), best, 0.0)


def _to_functions(accuracy: SyntheticAccuracy) -> Functions:
    """The same accuracy with signs +-1 in place of bits, up to a constant."""
    both = np.diag(np.array(accuracy.pair) / 4, 1)
    both = both + both.T
    return Functions(np.zeros(1), (np.array(accuracy.main) / 2 + both.sum(1))[None], both[None], np.zeros((1, 0)))


# -- searches ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        regrets: after each distinct scheme, what the best so far lacks.
        num_proposals: repeated ones included.
        seconds: of processor time.
        ticket: the best scheme.
    """

    regrets: np.ndarray
    num_proposals: int
    seconds: float
    ticket: str

    def after(self, count: int) -> float:
        """Regret after so many distinct schemes; a search that ends sooner keeps its last."""
        return float(self.regrets[min(count, len(self.regrets)) - 1])


def search(landscape: Landscape, config: dict, seed: int, num_steps: int | None, max_schemes: int) -> Run:
    """Let a strategy search a landscape, its files nowhere."""
    num_connections = sum(landscape.blocks_per_stage)
    strategy = build_from(STRATEGIES, config, 'strategy', num_connections=num_connections, seed=seed)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        loop = SearchLoop(
            strategy,
            one_by_one(landscape.score),
            landscape.reward,
            SearchRecord(folder, {}, is_writer=False),
            SearchSpace(landscape.blocks_per_stage, min_connected=landscape.min_connected),
            _refuse_ticket,
            budget=Budget(num_steps=num_steps, max_schemes=max_schemes),
        )
        result = loop.run()
    is_eligible = [each.scheme.num_connected >= landscape.min_connected for each in loop.evaluations]
    rewards = np.where(is_eligible, [each.reward for each in loop.evaluations], -np.inf)
    regrets = landscape.best - np.maximum.accumulate(rewards)
    seconds = time.process_time() - start
    return Run(regrets, result.num_steps * strategy.samples_per_step, seconds, str(result.best.scheme))


def _refuse_ticket(best: object) -> None:
    raise RuntimeError(f'`record` must read only in a benchmark, but got a ticket to write: {best}.')


def run_case(case: str, make: Callable[[int], Landscape], args: argparse.Namespace) -> dict[str, list[Run]]:
    """Search a case with all strategies, seed by seed."""
    runs: dict[str, list[Run]] = {name: [] for name in args.strategies}
    for seed in range(args.seeds):
        landscape = make(seed)
        for name in args.strategies:
            is_policy = case in LAYOUTS and name in ('paper', 'corrected', 'random')
            limit = 10**6 if is_policy else args.max_schemes
            runs[name].append(search(landscape, STRATEGY_CONFIGS[name], seed, args.num_steps, limit))
        print(
            f'{case}: seed {seed}, ' + ', '.join(f'{name} {runs[name][-1].after(64):.3f}' for name in runs), flush=True
        )
    return runs


def list_rows(case: str, runs: dict[str, list[Run]], error: float) -> list[dict]:
    """A row per strategy and seed."""
    rows = []
    for name, searches in runs.items():
        for seed, run in enumerate(searches):
            regrets = {f'regret_{mark}': f'{run.after(mark):.4f}' for mark in MARKS}
            paper = runs['paper'][seed] if 'paper' in runs else run
            tenth = dict(
                regret_tenth=f'{run.after(max(len(paper.regrets) // 10, 1)):.4f}', regret=f'{run.regrets[-1]:.4f}'
            )
            facts = dict(num_proposals=run.num_proposals, num_distinct=len(run.regrets), seconds=f'{run.seconds:.2f}')
            machine = describe_machine(torch.device('cpu'))
            own = dict(case=case, strategy=name, seed=seed, standard_error=f'{error:.4f}', ticket=run.ticket)
            rows.append({**own, **facts, **regrets, **tenth, **machine})
    return rows


# -- command line ------------------------------------------------------------------------------------------------------


def is_available(name: str) -> bool:
    """Whether a strategy is registered and its packages are there."""
    config = STRATEGY_CONFIGS[name]
    try:
        build_from(STRATEGIES, config, 'strategy', num_connections=4).propose(0)
    except (ValueError, ImportError) as err:
        print(f'{name} is left out: {err}')
        return False
    return True


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure how soon strategies close in on the best scheme.')
    parser.add_argument('--work-dir', type=Path, default=Path(__file__).parent / 'results', help='where files go')
    parser.add_argument('--atlas', help='table of all scores of a network, for the case own')
    parser.add_argument('--config', default=str(CONFIG), help='whose reward, least size and images go with that table')
    parser.add_argument('--cases', nargs='+', choices=CASES, default=list(DEFAULT_CASES), help='what is searched')
    parser.add_argument('--strategies', nargs='+', choices=STRATEGY_CONFIGS, default=list(STRATEGY_CONFIGS), help='who')
    parser.add_argument('--seeds', type=int, default=20, help='seeds 0, 1, ... (default: 20)')
    parser.add_argument('--max-schemes', type=int, default=160, help='distinct schemes of a search (default: 160)')
    parser.add_argument('--num-steps', type=int, help="steps of a search (default: each strategy's own)")
    parser.add_argument('--quick', action='store_true', help='two seeds, 40 schemes, 20 steps; files ..._quick')
    args = parser.parse_args(arguments)
    if ('own' in args.cases) != (args.atlas is not None):
        parser.error(
            f'`--atlas` must be given with the case own, and only then, but got {args.atlas} with {args.cases}.'
        )
    if args.quick:
        args.seeds, args.max_schemes, args.num_steps = 2, 40, 20
    args.suffix = '_quick' if args.quick else ''
    return args


def choose_landscapes(case: str, args: argparse.Namespace) -> Callable[[int], Landscape]:
    """What makes the landscape of a case, seed by seed."""
    if case in LAYOUTS:
        return partial(make_landscape, LAYOUTS[case])
    if case == 'synthetic':
        return make_table
    if case == 'own':
        landscape = read_own(args.atlas, args.config)
    else:
        name, num_images = TABLES[case]
        landscape = read_table(ATLASES / name, TABLE_REWARD, TABLE_LEAST, num_images)
    return lambda seed: landscape


def main() -> None:
    args = parse_arguments()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    with one_sentence():
        args.strategies = [name for name in args.strategies if is_available(name)]
        for case in args.cases:
            make = choose_landscapes(case, args)
            runs, error = run_case(case, make, args), make(0).standard_error
            rows += list_rows(case, runs, error)
            write_rows(args.work_dir / f'strategies{args.suffix}.csv', COLUMNS, rows)
            curves = {name: [run.regrets for run in searches] for name, searches in runs.items()}
            draw_strategies(curves, f'{case}, {args.seeds} seeds', args.max_schemes).savefig(
                args.work_dir / f'strategies_{case}{args.suffix}.png', dpi=110
            )
            print(draw_table(case, runs, MARKS))
            print(describe_targets(case, runs, None if case in LAYOUTS else error))


if __name__ == '__main__':
    main()

"""Is a ticket better than others whose learning rate was tuned for them? Each scheme trained from scratch at several rates.

python tools/search.py configs/ean/resnet20_se_lamp_digits.py
python -m benchmarks.truth.tuned_rates work_dirs/resnet20_se_lamp_digits --rates 0.001 0.003 0.01 --seeds 0 1 2 3 4

The ticket is trained at the rate of the recipe alone, every other scheme at all of them and taken at the one that gave it the
best mean on the test images, which favours the others. Trainings at the recipe's own rate are those of tools/compare.py. An
interrupted run goes on.
"""

# ruff: noqa: E402 (without mmengine the imports below would be missing)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
import copy
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from rich.table import Table

from ean_mm.analysis import paired_difference, t_interval
from ean_mm.launch import one_sentence
from ean_mm.launch.comparison import spell_differences
from ean_mm.launch.finished_search import FinishedSearch, find_scheme, read_name
from ean_mm.launch.scheme_facts import SchemeFacts
from ean_mm.launch.trainings import Training, require_same_recipe, run_trainings, with_scheme
from ean_mm.visualization import format_trained, to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows

FOLDER = 'rates'
COLUMNS = ('task', 'name', 'scheme', 'rate', 'seed', 'metric', 'value', *MACHINE_COLUMNS)

Values = Mapping[float, Mapping[int, float]]


class Tuning:
    """Trainings of one scheme at several learning rates.

    Args:
        name: of the scheme.
        search: whose recipe it is.
        rates: learning rates.
        seeds: one training each per rate.
    """

    def __init__(self, name: str, search: FinishedSearch, rates: Sequence[float], seeds: Sequence[int]):
        self.name, self.search = name, search
        self.scheme = find_scheme(name, search)
        self.trainings = {rate: [self._plan(rate, seed) for seed in seeds] for rate in rates}

    def _plan(self, rate: float, seed: int) -> Training:
        planned = self.search.plan(self.name, self.scheme, seed)
        if rate == read_rate(self.search):
            return planned
        cfg = copy.deepcopy(planned.cfg)
        cfg.optim_wrapper.optimizer.lr = rate
        work_dir = self.search.directory / FOLDER / f'{rate:g}' / planned.work_dir.name
        return Training(self.name, self.scheme, cfg, work_dir, seed)

    def read(self) -> Values:
        """The test metric by rate and seed."""
        return {
            rate: {training.seed: training.require(self.search.metric) for training in row}
            for rate, row in self.trainings.items()
        }


def read_rate(search: FinishedSearch) -> float:
    """The learning rate of the recipe."""
    return search.retrain.optim_wrapper.optimizer.lr


def find_best_rate(values: Values) -> float:
    """The rate with the best mean."""
    return max(values, key=lambda rate: t_interval(list(values[rate].values())).mean)


def conclude(found: Mapping[str, Values], rate: float) -> str:
    """The ticket at a rate against every other scheme at its best."""
    best = {name: find_best_rate(values) for name, values in found.items() if name != 'ticket'}
    pairs = {
        f'{name} at {best[name]:g}': paired_difference(found['ticket'][rate], found[name][best[name]]) for name in best
    }
    return spell_differences(f'The ticket at {rate:g}', {name: each for name, each in pairs.items() if each})


def draw_table(found: Mapping[str, Values], metric: str) -> str:
    table = Table(
        title=f'{metric} on the test images, trained from scratch (mean ± standard deviation)', title_justify='left'
    )
    rates = sorted({rate for values in found.values() for rate in values})
    for header in ('learning rate', *(f'{rate:g}' for rate in rates)):
        table.add_column(header)
    for name, values in found.items():
        table.add_row(name, *(format_trained(list(values[rate].values())) if rate in values else '-' for rate in rates))
    return to_text(table, width=120)


def main() -> None:
    parser = argparse.ArgumentParser(description='Compare a ticket with schemes whose learning rate is tuned for them.')
    parser.add_argument('work_dir', type=Path, help='of a finished search')
    parser.add_argument('--rates', nargs='+', type=float, required=True, help="learning rates, the recipe's among them")
    parser.add_argument('--schemes', nargs='+', default=['none', 'all'], help="'none', 'all' or bits")
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2, 3, 4], help='one training each')
    parser.add_argument('--results', type=Path, default=Path(__file__).parent / 'results', help='where the table goes')
    args = parser.parse_args()
    if 'random' in args.schemes:
        parser.error("`schemes` must be 'none', 'all' or bits, but got 'random', which is many schemes.")
    with one_sentence():
        search = FinishedSearch.open(args.work_dir)
        if read_rate(search) not in args.rates:
            parser.error(f"`rates` must hold the recipe's own, {read_rate(search):g}, but got {args.rates!r}.")
        names = dict.fromkeys(['ticket', *(read_name(text, search) for text in args.schemes)])
        rates = {name: [read_rate(search)] if name == 'ticket' else args.rates for name in names}
        tunings = [Tuning(name, search, rates[name], args.seeds) for name in names]
        trainings = [training for tuning in tunings for row in tuning.trainings.values() for training in row]
        for training in trainings:
            require_same_recipe(training)
        facts = SchemeFacts(with_scheme(search.retrain, 'all'), search.directory / FOLDER / 'common')
        in_turn = sorted(trainings, key=lambda training: args.seeds.index(training.seed))
        run_trainings(in_turn, facts.estimate_seconds, partial(print, flush=True))
        found = {tuning.name: tuning.read() for tuning in tunings}
        print(draw_table(found, search.metric))
        print(conclude(found, read_rate(search)))
    common = dict(task=args.work_dir.resolve().name, metric=search.metric) | describe_machine(torch.device('cpu'))
    rows = [
        dict(name=t.name, scheme=str(t.scheme), rate=f'{rate:g}', seed=seed, value=f'{value:.4g}') | common
        for t in tunings
        for rate, values in found[t.name].items()
        for seed, value in values.items()
    ]
    args.results.mkdir(parents=True, exist_ok=True)
    write_rows(args.results / 'tuned_rates.csv', COLUMNS, rows)


if __name__ == '__main__':
    main()

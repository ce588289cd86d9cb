"""Trainings from scratch of several comparisons, one row each: what the verdicts on the ticket were drawn from.

python tools/search.py configs/ean/resnet20_se_digits.py
python tools/compare.py configs/ean/resnet20_se_digits.py --schemes ticket all random none --seeds 0 1 2 3 4
python -m benchmarks.truth.trainings work_dirs/resnet20_se_digits    # several work directories make one table
"""

# ruff: noqa: E402 (without mmengine the imports below would be missing)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch

from ean_mm.launch.comparison import COMPARISON_FILE

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows

COLUMNS = ('task', 'name', 'scheme', 'seed', 'metric', 'value', *MACHINE_COLUMNS)


def list_trainings(task: str, facts: dict) -> Iterator[dict]:
    """One row for each training; 'random' has another scheme for each seed, the others have one."""
    for row in facts['rows']:
        schemes = row['schemes']
        by_seed = dict(zip(facts['seeds'], schemes if len(schemes) > 1 else schemes * len(facts['seeds']), strict=True))
        for seed, value in zip(row['seeds'], row['values'], strict=True):
            scheme, metric = by_seed[seed], facts['metric']
            yield dict(task=task, name=row['name'], scheme=scheme, seed=seed, metric=metric, value=f'{value:.4g}')


def main() -> None:
    parser = argparse.ArgumentParser(description='Gather the trainings of comparisons in one table.')
    parser.add_argument(
        'work_dirs', nargs='+', type=Path, help='where tools/compare.py has run; their names are the tasks'
    )
    parser.add_argument('--results', type=Path, default=Path(__file__).parent / 'results', help='where the table goes')
    args = parser.parse_args()
    missing = [str(directory) for directory in args.work_dirs if not (directory / COMPARISON_FILE).is_file()]
    if missing:
        parser.error(f'`work_dirs` must hold a {COMPARISON_FILE} each, but got {missing}; run tools/compare.py first.')
    machine = describe_machine(torch.device('cpu'))
    rows = []
    for directory in args.work_dirs:
        facts, task = json.loads((directory / COMPARISON_FILE).read_text()), directory.resolve().name
        rows += [row | machine for row in list_trainings(task, facts)]
        print(f'{task}: {facts["sentence"]}')
    args.results.mkdir(parents=True, exist_ok=True)
    write_rows(args.results / 'trainings.csv', COLUMNS, rows)


if __name__ == '__main__':
    main()

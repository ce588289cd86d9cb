"""How often is a verdict right? Searches whose truth is known, judged as real ones are.

OMP_NUM_THREADS=1 python -m benchmarks.truth.simulation    # a few minutes; --num-searches 20 shows that everything runs

A search here is 2,000 images in 100 groups, 9 blocks, and a number of random schemes, of which the best is the ticket. Every
scheme is right on 70 % of all images; in some rows one scheme that has been proposed is right more often.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from rich.table import Table

from ean_mm.analysis import Verdict, choose_controls, judge
from ean_mm.analysis.controls import count_of_size
from ean_mm.search import Reward, rank_scheme
from ean_mm.structures import ConnectionScheme, GroupScores
from ean_mm.visualization import to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows

LAYOUT = (3, 3, 3)
NUM_IMAGES, NUM_GROUPS = 2000, 100
SHARE_RIGHT = 0.7
STANDARD_ERROR = (SHARE_RIGHT * (1 - SHARE_RIGHT) / NUM_IMAGES) ** 0.5
SPREAD = 0.5  # of how hard images are, where they differ: Beta(0.35, 0.15), most are right or wrong under any scheme
NUM_RIVALS = 20
REWARD = Reward('accuracy')
ANSWERS = ('better', 'not distinguishable', 'worse')
COLUMNS = (
    *('errors', 'num_proposals', 'lead', 'num_searches'),
    *(f'{kind}_{answer.replace(" ", "_")}' for kind in ('verdict', 'plain') for answer in ANSWERS),
    *MACHINE_COLUMNS,
)

DrawChances = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class World:
    """What is true in a row of the table.

    Attributes:
        errors: 'independent', where all images are equally hard, or 'shared', where schemes err on the same ones.
        num_proposals: how many schemes a search scores.
        lead: of the one scheme that is better, in standard errors of a score; 0 if all are equal.
    """

    errors: str
    num_proposals: int
    lead: float


WORLDS = (
    *(World(errors, number, 0) for number in (30, 200) for errors in ('independent', 'shared')),
    *(World('independent', 30, lead) for lead in (3, 4)),
)
CHANCES: dict[str, DrawChances] = {
    'independent': lambda generator: np.full(NUM_IMAGES, SHARE_RIGHT),
    'shared': lambda generator: generator.beta(SPREAD * SHARE_RIGHT, SPREAD * (1 - SHARE_RIGHT), NUM_IMAGES),
}


def run_search(world: World, seed: int) -> Verdict:
    """Draw outcomes of all schemes, propose some, and judge the best of them."""
    generator = np.random.default_rng([seed, 7])
    schemes = list(ConnectionScheme.every(LAYOUT))
    proposed = generator.choice(np.arange(1, len(schemes) - 1), world.num_proposals, replace=False)
    chances = np.tile(CHANCES[world.errors](generator), (len(schemes), 1))
    chances[proposed[0]] += world.lead * STANDARD_ERROR
    right = generator.random(chances.shape) < chances
    values = 100 * right.reshape(len(schemes), NUM_GROUPS, -1).mean(2)
    metrics = values.mean(1)
    sizes = np.full(NUM_GROUPS, NUM_IMAGES // NUM_GROUPS)
    ranked = sorted(proposed, key=lambda row: rank_scheme(schemes[row], REWARD(metrics[row], schemes[row].mask)))
    candidates = [schemes[row] for row in ranked[:NUM_RIVALS]]
    return judge(
        GroupScores(tuple(schemes), metrics, values, sizes, True),
        candidates[0],
        candidates,
        world.num_proposals,
        choose_controls(LAYOUT, candidates[0], seed),
        count_of_size(sum(LAYOUT), candidates[0].num_connected),
        REWARD.metric,
        REWARD,
        seed,
    )


def count_answers(world: World, num_searches: int) -> dict[str, float]:
    """The share of searches with each answer, of the verdict and of the plain paired bootstrap."""
    rows = track(range(num_searches), f'{world.errors} errors, {world.num_proposals} proposals, lead {world.lead}')
    verdicts = [run_search(world, seed) for seed in rows]
    judged = [verdict.comparisons[0] for verdict in verdicts if verdict.num_random]
    kinds = {'verdict': [each.difference for each in judged], 'plain': [each.chosen for each in judged]}
    shares = {kind: Counter(each.verdict for each in found) for kind, found in kinds.items()}
    return {
        f'{kind}_{answer.replace(" ", "_")}': counts[answer] / len(judged)
        for kind, counts in shares.items()
        for answer in ANSWERS
    }


def draw_table(rows: Sequence[dict]) -> str:
    table = Table(title='Share of simulated searches', title_justify='left')
    for header in (
        'errors',
        'proposals',
        'lead / standard error',
        'verdict: better',
        'not distinguishable',
        'plain: better',
    ):
        table.add_column(header, justify='right')
    for row in rows:
        shares = (row['verdict_better'], row['verdict_not_distinguishable'], row['plain_better'])
        facts = (row['errors'], str(row['num_proposals']), f'{row["lead"]:g}')
        table.add_row(*facts, *(f'{100 * share:.1f} %' for share in shares))
    return to_text(table, width=120)


def main() -> None:
    parser = argparse.ArgumentParser(description='Count how often verdicts are right in searches whose truth is known.')
    parser.add_argument('--num-searches', type=int, default=200, help='of each row')
    parser.add_argument('--results', type=Path, default=Path(__file__).parent / 'results', help='where the table goes')
    args = parser.parse_args()
    if args.num_searches < 1:
        parser.error(f'`num-searches` must be at least 1, but got {args.num_searches!r}.')
    machine = describe_machine(torch.device('cpu'))
    rows = [
        dict(errors=world.errors, num_proposals=world.num_proposals, lead=world.lead, num_searches=args.num_searches)
        | count_answers(world, args.num_searches)
        for world in WORLDS
    ]
    print(draw_table(rows))
    args.results.mkdir(parents=True, exist_ok=True)
    write_rows(args.results / 'simulation.csv', COLUMNS, [row | machine for row in rows])


if __name__ == '__main__':
    main()

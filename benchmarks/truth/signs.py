"""Which sign does a network follow? Its accuracy on lamp digits where the bars are right and where they are wrong.

python tools/search.py configs/ean/resnet20_se_lamp_digits.py
python tools/compare.py configs/ean/resnet20_se_lamp_digits.py --seeds 5 6 7 8 9
python -m benchmarks.truth.signs work_dirs/resnet20_se_lamp_digits

A network that follows the lamp alone reads as many digits in either case, one that trusts the bars next to none where they are
wrong, one that knows neither few where the lamp shines.
"""

# ruff: noqa: E402 (without mmengine the imports below would be missing)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
import json
from collections.abc import Sequence
from itertools import groupby, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ean_mm.datasets.lamp_digits import CELL_WIDTH
from ean_mm.launch import one_sentence
from ean_mm.launch.comparison import COMPARISON_FILE
from ean_mm.launch.finished_search import FinishedSearch
from ean_mm.structures import ConnectionScheme
from ean_mm.visualization import to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows
from .trainings import list_trainings

COLUMNS = ('task', 'name', 'scheme', 'seed', 'lamp', 'bars', 'num_scenes', 'accuracy', *MACHINE_COLUMNS)

POINTER = 'last_checkpoint'  # the file of mmengine that names it

Case = tuple[str, str]  # lamp, bars
CASES: list[Case] = list(product(('off', 'on'), ('right', 'wrong')))


class Signs(NamedTuple):
    """What a scene shows.

    Attributes:
        is_lit: whether the lamp shines.
        is_hinted_green: whether the bars stand for green: yellow is on the left.
    """

    is_lit: bool
    is_hinted_green: bool


def read_signs(image: np.ndarray) -> Signs:
    """Read lamp and bars off a scene without noise, (height, width, RGB)."""
    row = image[0].astype(int)
    blueness = row[:, 2] - row[:, 0]  # positive in the blue bar, negative in the yellow one, 0 in the lamp
    blueness[: 2 * CELL_WIDTH] = 0  # the digits
    return Signs(bool(row[-1].any()), bool(blueness[np.flatnonzero(blueness)[0]] < 0))


def find_case(signs: Signs) -> Case:
    """The case of a reward or test scene, where the lamp is right."""
    return 'on' if signs.is_lit else 'off', 'right' if signs.is_hinted_green == signs.is_lit else 'wrong'


def judge_network(cfg: Config, work_dir: Path) -> np.ndarray:
    """Whether each test scene is read rightly by the network that was trained in a directory, (num_scenes,) bool."""
    model = MODELS.build(cfg.model)
    path = work_dir / Path((work_dir / POINTER).read_text()).name
    model.load_state_dict(torch.load(path, map_location='cpu', weights_only=True)['state_dict'])
    model.eval()
    loader = Runner.build_dataloader(cfg.test_dataloader)
    with torch.inference_mode():
        samples = [sample for batch in loader for sample in model.test_step(batch)]
    return np.array([int(sample.pred_label) == int(sample.gt_label) for sample in samples])


def share_by_case(is_right: np.ndarray, cases: Sequence[Case]) -> dict[Case, tuple[int, float]]:
    """Number of scenes and accuracy in percent for each case that occurs."""
    chosen = {case: np.array([each == case for each in cases]) for case in CASES}
    return {case: (int(mask.sum()), 100 * float(is_right[mask].mean())) for case, mask in chosen.items() if mask.any()}


def draw_table(rows: Sequence[dict]) -> str:
    table = Table(title='Accuracy on the test images by lamp and bars (%)', title_justify='left')
    for header in ('', 'scheme', 'seed', *(f'lamp {lamp}, bars {bars}' for lamp, bars in CASES)):
        table.add_column(header)
    for key, group in groupby(rows, key=lambda row: (row['name'], row['scheme'], str(row['seed']))):
        found = {(row['lamp'], row['bars']): row['accuracy'] for row in group}
        table.add_row(*key, *(found.get(case, '-') for case in CASES))
    return to_text(table, width=120)


def main() -> None:
    parser = argparse.ArgumentParser(description='Accuracy of trained networks by lamp and bars.')
    parser.add_argument('work_dir', type=Path, help='of a search on lamp digits whose tools/compare.py has run')
    parser.add_argument('--results', type=Path, default=Path(__file__).parent / 'results', help='where the table goes')
    args = parser.parse_args()
    with one_sentence():
        search = FinishedSearch.open(args.work_dir)
        test_set = search.retrain.test_dataloader.dataset
        if test_set.type != 'ean_mm.LampDigits':
            parser.error(f'`work_dir` must be of a search on ean_mm.LampDigits, but got one on {test_set.type}.')
        if not (args.work_dir / COMPARISON_FILE).is_file():
            parser.error(
                f"`work_dir` must hold a {COMPARISON_FILE}, but got '{args.work_dir}'; run tools/compare.py first."
            )
        task = args.work_dir.resolve().name
        trained = list(list_trainings(task, json.loads((args.work_dir / COMPARISON_FILE).read_text())))
        trainings = [
            search.plan(facts['name'], ConnectionScheme.from_string(facts['scheme']), facts['seed'])
            for facts in trained
        ]
        missing = [str(each.work_dir) for each in trainings if not (each.work_dir / POINTER).is_file()]
        if missing:
            parser.error(f'`work_dir` must hold the networks of its comparison, but got no {POINTER} in {missing}.')
        init_default_scope(search.retrain.get('default_scope', 'mmengine'))
        scenes = DATASETS.build({**test_set, 'pipeline': []})
        cases = [find_case(read_signs(scene['img'])) for scene in scenes]
        machine = describe_machine(torch.device('cpu'))
        rows = []
        pairs = list(zip(trained, trainings, strict=True))
        for facts, training in track(pairs, 'Testing', console=Console(stderr=True)):
            shares = share_by_case(judge_network(training.cfg, training.work_dir), cases)
            common = {key: facts[key] for key in ('task', 'name', 'scheme', 'seed')} | machine
            rows += [
                dict(lamp=lamp, bars=bars, num_scenes=count, accuracy=f'{share:.1f}') | common
                for (lamp, bars), (count, share) in shares.items()
            ]
        print(draw_table(rows))
    args.results.mkdir(parents=True, exist_ok=True)
    write_rows(args.results / 'signs.csv', COLUMNS, rows)


if __name__ == '__main__':
    main()

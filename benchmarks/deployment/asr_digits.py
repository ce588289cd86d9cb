"""Attention that costs nothing, on real scans: plain, SE and ASR trained with several seeds, deployed, in one table.

python -m benchmarks.deployment.asr_digits --seeds 0 1 2    # an interrupted run goes on where it was; README.md says how long

Each network is a ResNet-14 of configs/ean, trained from scratch by one recipe. Accuracy is that of the test images at the last
epoch, before and after tools/deploy.py; latency that of seed 0's networks, measured in turns.
"""

# ruff: noqa: E402 (without mmengine the imports below would be missing)
from ean_mm.environment import exit_without_packages

exit_without_packages()

import argparse
import copy
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from rich.table import Table

from ean_mm.analysis import compare_rounds, time_rounds
from ean_mm.launch import DeployOptions, deploy, one_sentence
from ean_mm.launch.config_entries import OF_TESTING, OF_TRAINING, without
from ean_mm.launch.deployment import FOLDER, STEM
from ean_mm.launch.training import make_runner, train_once
from ean_mm.visualization import format_trained, to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows

CONFIGS = Path(__file__).parents[2] / 'configs/ean'
NETWORKS = {'plain': 'resnet14_digits', 'SE': 'resnet14_se_digits', 'ASR(SE)': 'resnet14_asr_se_digits'}
PLAIN = 'plain'
METRIC = 'accuracy/top1'
SIZES = (1, 64)
COLUMNS = (
    *('network', 'state', 'seeds', 'accuracy', 'params'),
    *(f'{kind}_{size}' for size in SIZES for kind in ('latency_ms', 'ratio', 'ratio_low', 'ratio_high')),
    *('rounds', *MACHINE_COLUMNS),
)


class Trained:
    """One network, trained with several seeds.

    Args:
        name: of ``NETWORKS``.
        seeds: of the trainings.
        work_dir: what is trained is in its folders.
    """

    def __init__(self, name: str, seeds: Sequence[int], work_dir: Path):
        self.name = name
        self.cfg = Config.fromfile(CONFIGS / f'{NETWORKS[name]}.py')
        self.directories = [work_dir / f'{NETWORKS[name]}_{seed}' for seed in seeds]
        self.accuracies = [
            train_once(self.cfg, directory, seed)[METRIC]
            for seed, directory in zip(seeds, self.directories, strict=True)
        ]

    def checkpoint(self, directory: Path) -> Path:
        """The weights of the last epoch."""
        return directory / f'epoch_{self.cfg.train_cfg.max_epochs}.pth'

    def deploy(self) -> list[float]:
        """Deploy each network, and return its accuracies as it is read from its files."""
        return [self._deploy(directory) for directory in self.directories]

    def _deploy(self, directory: Path) -> float:
        cfg = copy.deepcopy(self.cfg)
        cfg.work_dir = str(directory)
        print(deploy(cfg, str(self.checkpoint(directory)), DeployOptions(formats=['pth'])))
        deployed = Config.fromfile(directory / FOLDER / f'{STEM}.py')
        deployed.load_from = str(directory / FOLDER / f'{STEM}.pth')
        return make_runner(deployed, directory / FOLDER / 'test', seed=0).test()[METRIC]

    def build(self, is_deployed: bool) -> Any:
        """The network of the first seed; its weights do not matter to time, its structure does."""
        cfg = Config.fromfile(self.directories[0] / FOLDER / f'{STEM}.py') if is_deployed else self.cfg
        cfg = without(cfg, *OF_TRAINING, *OF_TESTING)
        state = 'deployed' if is_deployed else 'trained'
        model: Any = make_runner(cfg, self.directories[0] / f'time_{state}', seed=0).model
        model.eval()
        return model


def measure_latencies(networks: dict[tuple[str, str], Any], rounds: int) -> dict[tuple[str, str], dict[str, str]]:
    """Time all networks in turns, and compare each with the plain one."""
    found: dict[tuple[str, str], dict[str, str]] = {key: {} for key in networks}
    baseline = (PLAIN, 'trained')
    for size in SIZES:
        device = next(networks[baseline].parameters()).device
        images = torch.rand(size, 3, 32, 32, device=device)
        with torch.inference_mode():
            runs = {key: partial(model, images, mode='tensor') for key, model in networks.items()}
            kept = list(islice(time_rounds(runs, device), 5, 5 + rounds))
        for key in networks:
            ratio = compare_rounds(kept, key, baseline)
            found[key] |= {
                f'latency_ms_{size}': f'{median(times[key] for times in kept) * 1e3:.4g}',
                f'ratio_{size}': f'{ratio.median:.4f}',
                f'ratio_low_{size}': f'{ratio.low:.4f}',
                f'ratio_high_{size}': f'{ratio.high:.4f}',
            }
    return found


def draw_table(rows: Sequence[dict]) -> str:
    table = Table()
    for header in ('network', ''):
        table.add_column(header)
    for header in ('accuracy', 'params', *(f'{size} images: ms, of plain' for size in SIZES)):
        table.add_column(header, justify='right')
    for row in rows:
        times = (f'{row[f"latency_ms_{size}"]}, {float(row[f"ratio_{size}"]):.3f}' for size in SIZES)
        accuracy = format_trained([float(each) for each in row['accuracy'].split()])
        table.add_row(row['network'], row['state'], accuracy, f'{row["params"]:,}', *times)
    return to_text(table, width=120)


def main() -> None:
    parser = argparse.ArgumentParser(description='Train plain, SE and ASR networks, deploy them, and compare.')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='one training of each network per seed')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/asr_digits'), help='where trainings go')
    parser.add_argument('--results', type=Path, default=Path(__file__).parent / 'results', help='where the table goes')
    parser.add_argument('--rounds', type=int, default=200, help='of the latency measurement')
    args = parser.parse_args()
    rows, networks = [], {}
    with one_sentence():
        for name in NETWORKS:
            trained = Trained(name, args.seeds, args.work_dir)
            states = {'trained': trained.accuracies} | ({} if name == PLAIN else {'deployed': trained.deploy()})
            for state, accuracies in states.items():
                model = networks[name, state] = trained.build(state == 'deployed')
                params = sum(parameter.numel() for parameter in model.parameters())
                accuracy = ' '.join(f'{value:.4g}' for value in accuracies)
                rows.append(dict(network=name, state=state, seeds=len(args.seeds), accuracy=accuracy, params=params))
        latencies = measure_latencies(networks, args.rounds)
    device = next(networks[PLAIN, 'trained'].parameters()).device
    for row in rows:
        row.update(**latencies[row['network'], row['state']], rounds=args.rounds, **describe_machine(device))
    args.results.mkdir(parents=True, exist_ok=True)
    write_rows(args.results / 'asr_digits.csv', COLUMNS, rows)
    print(draw_table(rows))


if __name__ == '__main__':
    main()

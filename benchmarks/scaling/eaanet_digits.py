"""Does attention in place of some channels help on real scans? Plain, AA and EAA ResNet-18, several seeds each, in one table.

python -m benchmarks.scaling.eaanet_digits --seeds 0 1 2    # an interrupted run goes on; README.md says how long

The networks are those of configs/ean/resnet18_*digits.py, trained from scratch by one recipe. Accuracy is that of the test
images at the last epoch; parameters and MACs are those that are used.
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
from mmengine.registry import init_default_scope
from rich.table import Table
from torch import nn

from ean_mm.analysis import compare_rounds, count_work, time_rounds
from ean_mm.launch import one_sentence
from ean_mm.launch.training import train_once
from ean_mm.registry import MODELS
from ean_mm.visualization import format_trained, to_text

from ..side_by_side import MACHINE_COLUMNS, describe_machine, write_rows

CONFIGS = Path(__file__).parents[2] / 'configs/ean'
NETWORKS = {'plain': 'resnet18_digits', 'AA': 'resnet18_aa_digits', 'EAA': 'resnet18_eaa_digits'}
PLAIN = 'plain'
METRIC = 'accuracy/top1'
COLUMNS = (
    *('network', 'scheme', 'seeds', 'accuracy', 'params', 'macs'),
    *('latency_ms', 'ratio', 'ratio_low', 'ratio_high', 'rounds', *MACHINE_COLUMNS),
)


def describe_network(name: str, cfg: Config, seeds: Sequence[int], work_dir: Path) -> dict[str, object]:
    """Train one network with every seed, and return what its row says of accuracy and size."""
    metrics = [train_once(cfg, work_dir / f'{NETWORKS[name]}_{seed}', seed)[METRIC] for seed in seeds]
    backbone = build_backbone(cfg)
    resting = sum(slot.num_resting for slot in getattr(backbone, 'slots', ()) if slot.connected)
    head = MODELS.build(cfg.model.head)
    params = sum(parameter.numel() for part in (backbone, head) for parameter in part.parameters())
    return dict(
        network=name,
        scheme=cfg.model.backbone.get('scheme', ''),
        seeds=len(seeds),
        accuracy=' '.join(f'{value:.4g}' for value in metrics),
        params=params - resting,
        macs=count_work(partial(backbone, torch.zeros(1, 3, 32, 32))).macs,
    )


def build_backbone(cfg: Config) -> nn.Module:
    """The backbone of a config, for inference; its weights do not matter to time and size."""
    init_default_scope('mmpretrain')
    backbone: Any = MODELS.build(copy.deepcopy(cfg.model.backbone))
    backbone.eval()  # which returns nothing in the backbones of MM
    return backbone


def measure_latencies(backbones: dict[str, nn.Module], rounds: int) -> dict[str, dict[str, object]]:
    """Time all backbones in turns on one image, and compare each with the plain one."""
    image, device = torch.rand(1, 3, 32, 32), torch.device('cpu')
    with torch.inference_mode():
        runs = {name: partial(backbone, image) for name, backbone in backbones.items()}
        kept = list(islice(time_rounds(runs, device), 5, 5 + rounds))
    found: dict[str, dict[str, object]] = {}
    for name in backbones:
        ratio = compare_rounds(kept, name, PLAIN)
        found[name] = dict(
            latency_ms=f'{median(times[name] for times in kept) * 1e3:.4g}',
            ratio=f'{ratio.median:.4f}',
            ratio_low=f'{ratio.low:.4f}',
            ratio_high=f'{ratio.high:.4f}',
            rounds=rounds,
            **describe_machine(device),
        )
    return found


def draw_table(rows: Sequence[dict]) -> str:
    table = Table()
    for header in ('network', 'scheme'):
        table.add_column(header)
    for header in ('accuracy', 'params', 'MACs', '1 image: ms, of plain'):
        table.add_column(header, justify='right')
    for row in rows:
        accuracy = format_trained([float(each) for each in row['accuracy'].split()])
        time = f'{row["latency_ms"]}, {float(row["ratio"]):.3f}'
        table.add_row(row['network'], row['scheme'], accuracy, f'{row["params"]:,}', f'{row["macs"]:,}', time)
    return to_text(table, width=120)


def main() -> None:
    parser = argparse.ArgumentParser(description='Train plain, AA and EAA networks, and compare.')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='one training of each network per seed')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/eaanet_digits'), help='where trainings go')
    parser.add_argument('--results', type=Path, default=Path(__file__).parent / 'results', help='where the table goes')
    parser.add_argument('--rounds', type=int, default=200, help='of the latency measurement')
    args = parser.parse_args()
    configs = {name: Config.fromfile(CONFIGS / f'{stem}.py') for name, stem in NETWORKS.items()}
    with one_sentence():
        rows = [describe_network(name, cfg, args.seeds, args.work_dir) for name, cfg in configs.items()]
        latencies = measure_latencies({name: build_backbone(cfg) for name, cfg in configs.items()}, args.rounds)
    rows = [row | latencies[str(row['network'])] for row in rows]
    args.results.mkdir(parents=True, exist_ok=True)
    write_rows(args.results / 'eaanet_digits.csv', COLUMNS, rows)
    print(draw_table(rows))


if __name__ == '__main__':
    main()

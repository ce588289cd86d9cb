"""What a search would cost, before it is run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Group
from rich.table import Table

from ..analysis import CostTable, measure_cost
from ..datasets import find_missing_data
from ..evaluation import SupernetScorer
from ..hooks.conclusion import most_scored_afterwards
from ..hooks.wrapped_backbone import find_backbone
from ..models import EANBackbone
from ..registry import DATASETS, STRATEGIES, build_from
from ..search import SearchSpace
from ..structures import ConnectionScheme
from ..visualization import to_text
from .arguments import find_search_hook
from .fast_dev_run import shorten_run

NUM_TIMED = 3


@dataclass(frozen=True)
class Speed:
    """Seconds per image, measured on one small batch."""

    training: float
    scoring: float


def describe_plan(cfg: Config) -> str:
    """Build everything, train nothing; return sites, costs and an estimate of time and disk as text.

    Times are measured on a few small batches on this machine (random images where data is missing) and scaled by the
    number of images; a data set that is missing leaves its share of the estimate open.
    """
    short = shorten_run(cfg)
    short.work_dir = str(Path(cfg.work_dir) / 'plan')
    short.log_level = 'WARNING'
    runner = Runner.from_cfg(short)
    backbone = find_backbone(runner.model)
    train_batch = next(iter(runner.build_dataloader(short.train_dataloader)))
    reward_loader = runner.build_dataloader(short.val_dataloader)
    scorer = SupernetScorer(runner.model, backbone, reward_loader, None, '')
    one_image = reward_loader.collate_fn([reward_loader.dataset[0]])
    costs = measure_cost(runner.model, backbone, lambda: scorer.run(one_image))
    speed = _measure_speed(runner, scorer, train_batch, next(iter(reward_loader)))
    parts: list[Table | str] = [
        _draw_sites(backbone, costs),
        _draw_costs(backbone, costs),
        *_estimate(cfg, runner, backbone, speed),
    ]
    return to_text(Group(*parts))


def _measure_speed(runner: Runner, scorer: SupernetScorer, train_batch: dict, reward_batch: dict) -> Speed:
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.model.train()
    training = _time(lambda: runner.model.train_step(train_batch, wrapper))
    runner.model.eval()
    with torch.no_grad():
        scoring = _time(lambda: scorer.run(reward_batch))
    return Speed(training / len(train_batch['inputs']), scoring / len(reward_batch['inputs']))


def _time(call: Callable[[], object]) -> float:
    """Seconds of one call, the first one not counted."""
    call()
    start = time.perf_counter()
    for _ in range(NUM_TIMED):
        call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / NUM_TIMED


def _draw_sites(backbone: EANBackbone, costs: CostTable) -> Table:
    table = Table(title='Sites: one bit of the scheme each', title_justify='left')
    for header in ('bit', 'stage', 'block', 'branch C x H x W', 'attention', 'MACs', 'element-wise'):
        table.add_column(header, justify='right')
    for bit, (site, cost) in enumerate(zip(backbone.sites, costs.sites, strict=True)):
        shape = ' x '.join(map(str, cost.shape))
        row = (bit, site.stage, site.index, shape, cost.group, f'{cost.macs:,}', f'{cost.elementwise:,}')
        table.add_row(*map(str, row))
    return table


def _draw_costs(backbone: EANBackbone, costs: CostTable) -> Table:
    table = Table(title='Cost of the whole network', title_justify='left')
    for header in ('scheme', 'params', 'MACs', 'element-wise'):
        table.add_column(header, justify='right')
    for scheme in _landmarks(backbone):
        cost = costs.cost(scheme)
        table.add_row(str(scheme), f'{cost.params:,}', f'{cost.macs:,}', f'{cost.elementwise:,}')
    return table


def _landmarks(backbone: EANBackbone) -> list[ConnectionScheme]:
    """none, each stage alone, all."""
    layout = backbone.blocks_per_stage
    stages = [
        ConnectionScheme.from_mask([site.stage == stage for site in backbone.sites], layout)
        for stage in range(len(layout))
    ]
    return [ConnectionScheme.none(layout), *stages, ConnectionScheme.all(layout)]


def _estimate(cfg: Config, runner: Runner, backbone: EANBackbone, speed: Speed) -> list[str]:
    device = next(backbone.parameters()).device
    lines = [f'Estimate for one {device.type} device like this one, loading of images not included:']
    lines.append(f'  supernet  {_training_time(cfg, speed)}')
    lines.append(f'  search    {_search_time(cfg, backbone, speed)}')
    weights = sum(tensor.numel() * tensor.element_size() for tensor in runner.model.state_dict().values())
    kept = cfg.get('default_hooks', {}).get('checkpoint', {}).get('max_keep_ckpts', -1)
    if kept > 0:
        # A checkpoint holds weights and as much optimiser state again (one momentum per weight).
        lines.append(f'  disk      {(kept * 2 + 1) * weights / 2**20:,.0f} MiB')
    else:
        lines.append(f'  disk      {2 * weights / 2**20:,.0f} MiB a checkpoint, every one kept')
    return lines


def _training_time(cfg: Config, speed: Speed) -> str:
    train_cfg = cfg.train_cfg
    if train_cfg.get('max_iters'):
        num_images = train_cfg.max_iters * cfg.train_dataloader.batch_size
    else:
        epoch = _epoch_length(cfg.train_dataloader)
        if epoch is None:
            return _unknown(1000 * speed.training)
        num_images = train_cfg.max_epochs * epoch
    return f'{num_images:,} images: {_spell(num_images * speed.training)}'


def _search_time(cfg: Config, backbone: EANBackbone, speed: Speed) -> str:
    hook = find_search_hook(cfg)
    space = SearchSpace(backbone.blocks_per_stage, hook.get('fixed'), hook.get('min_connected', 0))
    strategy = build_from(STRATEGIES, dict(hook.strategy), 'strategy', num_connections=space.num_free)
    schemes = min(strategy.num_steps * strategy.samples_per_step + 2, 2**space.num_free + 2)
    if hook.get('max_schemes'):
        schemes = min(schemes, hook.max_schemes)
    if hook.get('verdict', True):
        schemes += most_scored_afterwards(backbone.num_connections)
    schemes = min(schemes, 2**backbone.num_connections)
    num_reward = _epoch_length(cfg.val_dataloader)
    if num_reward is None:
        return f'at most {schemes} schemes; ' + _unknown(1000 * speed.scoring)
    num_images = schemes * (num_reward + hook.get('num_calibration_images', 1000))
    return f'at most {schemes} schemes, {num_images:,} images: {_spell(num_images * speed.scoring)}'


def _epoch_length(loader: Config) -> int | None:
    """Images per epoch; None if the data set is missing."""
    if find_missing_data(loader.dataset, trust_download=False) is not None:
        return None
    per_epoch = loader.get('sampler', {}).get('num_per_epoch')
    return per_epoch or len(DATASETS.build(loader.dataset))


def _unknown(seconds: float) -> str:
    return f'{_spell(seconds)} per 1,000 images; how many there are is unknown, the data is missing'


def _spell(seconds: float) -> str:
    for unit, size in (('days', 86400), ('h', 3600), ('min', 60)):
        if seconds >= size:
            return f'{seconds / size:.1f} {unit}'
    return f'{seconds:.1f} s'

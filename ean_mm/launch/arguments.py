"""MM's command-line flags, merged into a config."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction

from .pick import BEST, split_condition


def build_parser(description: str, **files: str) -> argparse.ArgumentParser:
    """A parser with the flags that MM's own tools have.

    Args:
        description: what the tool does.
        files: further arguments that come before the config, and what each is.
    """
    parser = argparse.ArgumentParser(description=description)
    for name, text in files.items():
        parser.add_argument(name, help=text)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='where logs and files go (default: work_dirs/<config>)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override config entries: key=value, nested keys with dots, lists as key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that concern training."""
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from a checkpoint, or from the newest in the work directory',
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and merge the flags of ``build_parser`` and ``add_training_flags`` into it.

    Raises:
        ValueError: if there is no such config, or a flag asks for what the config lacks.
    """
    if not Path(args.config).is_file():
        raise ValueError(f'`config` must be a file, but got {args.config!r}; configs/ean/ has examples.')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    if getattr(args, 'amp', False):
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if getattr(args, 'auto_scale_lr', False):
        if not cfg.get('auto_scale_lr'):
            raise ValueError(
                '`auto_scale_lr` must be in the config to use --auto-scale-lr, but got None; '
                'add auto_scale_lr = dict(base_batch_size=...).'
            )
        cfg.auto_scale_lr.enable = True
    if getattr(args, 'resume', None):
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def find_search_hook(cfg: Config) -> Config:
    """Return the config's entry of the SearchHook.

    Raises:
        ValueError: if it has none.
    """
    hooks = cfg.get('custom_hooks') or []
    for hook in hooks:
        if str(hook.get('type', '')).rpartition('.')[2] == 'SearchHook':
            return hook
    raise ValueError(
        f'`custom_hooks` must hold an ean_mm.SearchHook to search, but got {[h.get("type") for h in hooks]!r}; '
        'configs/ean/resnet20_se_digits.py shows one.'
    )


def add_search_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that concern the search."""
    parser.add_argument('--supernet', help='trained weights to search; training is skipped')
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='let reading --supernet run code, as a full mmengine checkpoint needs; only for files you trust',
    )
    parser.add_argument(
        '--activation-budget',
        help="activations kept for schemes that agree on their first bits, like '2GiB' (default: the config's)",
    )
    parser.add_argument(
        '--image-budget', help="reward images kept in memory, like '8GiB', so that none is decoded twice"
    )
    parser.add_argument(
        '--fast',
        action='store_true',
        help='score in the fastest precision of this machine and drop proposals that cannot win; scores differ a little',
    )
    parser.add_argument('--score-store', help='file of scores to share with other searches of the same supernet')
    parser.add_argument(
        '--score-all',
        action='store_true',
        help='score every scheme of a small network first, into atlas.csv and the score store',
    )
    parser.add_argument('--max-hours', type=float, help='end the search after so many hours, training not included')
    parser.add_argument(
        '--warm-start', nargs='+', metavar='TICKET', help='tickets, or schemes, that are scored first and learned from'
    )
    parser.add_argument('--fixed', metavar='SCHEME', help="a scheme with * for every bit to search, like '1** *** **0'")
    parser.add_argument(
        '--limits',
        nargs='+',
        action=DictAction,
        help='what the ticket may cost at most: latency=+5%% params=26M macs=+1%%',
    )
    parser.add_argument(
        '--latency-table', help='latency of each site on the device that counts (default: measured here)'
    )
    parser.add_argument(
        '--seeds', nargs='+', type=int, help='several searches of one supernet, with these seeds: do they agree?'
    )
    parser.add_argument(
        '--pick', nargs='+', metavar='CONDITION', help='another ticket at the end: max-latency=+5%%; see tools/pick.py'
    )
    parser.add_argument('--restart', action='store_true', help='move an earlier search in the work directory aside')
    parser.add_argument('--plan', action='store_true', help='print sites, costs and an estimate; train nothing')
    parser.add_argument(
        '--fast-dev-run',
        action='store_true',
        help='two iterations of each phase, on random images where the data set is missing',
    )


def merge_search_flags(cfg: Config, args: argparse.Namespace) -> None:
    """Merge the flags of ``add_search_flags`` into the config's SearchHook."""
    hook = find_search_hook(cfg)
    for text in args.pick or ():
        if text != BEST:
            split_condition(text)  # refused now rather than when the search is over
    if args.supernet:
        hook.supernet = args.supernet
    if args.activation_budget:
        hook.activation_budget = args.activation_budget
    if args.image_budget:
        hook.image_budget = args.image_budget
    if args.fast:
        hook.precision = 'fastest'
        if hook.strategy.get('preset') != 'paper':  # which scores every proposal in full
            hook.setdefault('racing', {})
    if args.score_store:
        hook.score_store = args.score_store
    for name in ('max_hours', 'warm_start', 'fixed', 'limits', 'latency_table'):
        if getattr(args, name) is not None:
            hook[name] = getattr(args, name)
    hook.score_all = args.score_all or hook.get('score_all', False)
    hook.trust_checkpoint = args.trust_checkpoint
    hook.restart = args.restart

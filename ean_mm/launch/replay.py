"""Run a strategy on a table of all scores, seed after seed: what a search would have found, and how soon."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

import numpy as np
from mmengine.config import Config
from rich.table import Table

from ..registry import STRATEGIES, build_from
from ..search import Atlas, Budget, Evaluation, Reward, SearchLoop, SearchRecord, SearchSpace, one_by_one
from ..structures.checks import require_whole
from ..visualization import draw_regrets, to_text
from .arguments import find_search_hook

PICTURE_FILE = 'replay.png'
QUARTILES = {'first quartile': 0.25, 'median': 0.5, 'third quartile': 0.75}


@dataclass(frozen=True)
class Replay:
    """One search on an atlas.

    Attributes:
        seed: of the strategy.
        ticket: what it found.
        found_after: how many distinct schemes were scored until the ticket was, controls included.
        num_steps: how many steps it took.
        regrets: after each distinct scheme, the reward of the atlas's best eligible scheme less that of the best so far;
            infinite while none was eligible.
    """

    seed: int
    ticket: Evaluation
    found_after: int
    num_steps: int
    regrets: tuple[float, ...]

    @property
    def num_distinct(self) -> int:
        """How many schemes were scored."""
        return len(self.regrets)

    @property
    def regret(self) -> float:
        """What the ticket lacks, in units of the reward; 0 if nothing is better."""
        return self.regrets[-1]


def replay_config(atlas_path: str, cfg: Config, num_seeds: int, num_steps: int | None, max_schemes: int | None) -> str:
    """Replay strategy and reward of a config's SearchHook, draw ``replay.png`` beside the atlas, return tables as text.

    Args:
        atlas_path: what ``--score-all`` has written.
        cfg: with a SearchHook; nothing else in it is read.
        num_seeds: the strategy's seeds are 0, 1, ... below it.
        num_steps: of the strategy; None leaves the config's.
        max_schemes: as in SearchHook; None leaves the config's.

    Raises:
        ValueError: if the atlas is damaged, the config has no SearchHook, or a number is out of range.
    """
    hook = find_search_hook(cfg)
    require_whole('seeds', num_seeds, 1)
    atlas = Atlas.load(atlas_path)
    strategy = dict(hook.strategy) if num_steps is None else {**hook.strategy, 'num_steps': num_steps}
    reward, min_connected = Reward(**hook.reward), hook.get('min_connected', 0)
    limit = hook.get('max_schemes') if max_schemes is None else max_schemes
    replays = replay_strategy(atlas, strategy, reward, range(num_seeds), min_connected, limit)
    name = str(strategy['type']).rpartition('.')[2]
    picture = Path(atlas_path).with_name(PICTURE_FILE)
    draw_regrets([replay.regrets for replay in replays], f'{name} on all {len(atlas):,} schemes').savefig(
        picture, dpi=110
    )
    best, best_reward = atlas.best(reward, min_connected)
    lines = [
        to_text(draw_replays(replays, f'{name} on the scores of {atlas_path}', reward.metric)),
        f"Best of the {len(atlas):,} schemes: '{best}', {reward.metric} {atlas(best):.2f}, reward {best_reward:.2f}; "
        f'{sum(replay.regret == 0 for replay in replays)} of {len(replays)} seeds found it or its equal.',
        f'Picture: {picture}',
    ]
    return '\n'.join(lines)


def replay_strategy(
    atlas: Atlas,
    strategy: dict,
    reward: Reward,
    seeds: Iterable[int],
    min_connected: int = 0,
    max_schemes: int | None = None,
) -> list[Replay]:
    """Search once per seed, as SearchHook would have done on the network that the atlas was made of.

    Every scheme has its full score at once, so ``racing`` of a SearchHook has no counterpart here.

    Args:
        atlas: stands for the network.
        strategy: config of a registered strategy.
        reward: makes a reward of a metric and a mask.
        seeds: of the strategy.
        min_connected: smaller schemes do not become the ticket.
        max_schemes: so many distinct schemes are scored at most, controls included; None sets no limit.

    Raises:
        ValueError: if an argument is wrong.
    """
    top = atlas.best(reward, min_connected)[1]
    replays = []
    for seed in seeds:
        loop = _run(atlas, strategy, reward, seed, min_connected, max_schemes)
        best = cast(Evaluation, loop.best)
        regrets = _regrets(loop.evaluations, top, min_connected)
        replays.append(Replay(seed, best, loop.evaluations.index(best) + 1, loop.next_step or 0, regrets))
    return replays


def _run(
    atlas: Atlas, strategy: dict, reward: Reward, seed: int, min_connected: int, max_schemes: int | None
) -> SearchLoop:
    num_connections = sum(atlas.blocks_per_stage)
    built = build_from(STRATEGIES, strategy, 'strategy', num_connections=num_connections, seed=seed)
    with tempfile.TemporaryDirectory() as directory:
        loop = SearchLoop(
            built,
            one_by_one(atlas),
            reward,
            SearchRecord(directory, {}, is_writer=False),  # flushing files would take longer than the search
            SearchSpace(atlas.blocks_per_stage, min_connected=min_connected),
            _refuse_ticket,
            budget=Budget(max_schemes=max_schemes),
        )
        loop.run()
    return loop


def _refuse_ticket(best: Evaluation) -> NoReturn:
    raise RuntimeError(f'`record` must read only in a replay, but got a ticket to write: {best.scheme}.')


def _regrets(evaluations: Sequence[Evaluation], top: float, min_connected: int) -> tuple[float, ...]:
    rewards = [cast(float, e.reward) if e.scheme.num_connected >= min_connected else -np.inf for e in evaluations]
    return tuple(float(top - best) for best in np.maximum.accumulate(rewards))


# -- for people --------------------------------------------------------------------------------------------------------


def draw_replays(replays: Sequence[Replay], title: str, metric: str) -> Table:
    """A row per seed, then median and quartiles.

    Args:
        replays: at least one.
        title: above the table.
        metric: its name, for the header.
    """
    columns: dict[str, tuple[Callable[[Replay], float], str]] = {
        metric: (lambda replay: cast(float, replay.ticket.metric), '.2f'),
        'reward': (lambda replay: cast(float, replay.ticket.reward), '.2f'),
        'regret': (lambda replay: replay.regret, '.3f'),
        'found after': (lambda replay: replay.found_after, 'g'),
        'distinct schemes': (lambda replay: replay.num_distinct, 'g'),
        'steps': (lambda replay: replay.num_steps, 'g'),
    }
    table = Table(title=title, title_justify='left')
    for header in ('seed', 'ticket'):
        table.add_column(header, no_wrap=True)
    for header in columns:
        table.add_column(header, justify='right')
    for replay in replays:
        values = (format(read(replay), spec) for read, spec in columns.values())
        table.add_row(str(replay.seed), str(replay.ticket.scheme), *values)
    table.add_section()
    for name, share in QUARTILES.items():
        table.add_row(name, '', *(_quantile(replays, share, *column) for column in columns.values()))
    return table


def _quantile(replays: Sequence[Replay], share: float, read: Callable[[Replay], float], spec: str) -> str:
    return format(float(np.quantile([read(replay) for replay in replays], share)), spec)

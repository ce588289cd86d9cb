"""A replay is the search that it stands for."""

import copy
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from toy_search import LAYOUT, Listed, lines, scheme_of

from ean_mm.launch import build_parser, load_config, replay_config
from ean_mm.launch.replay import draw_replays, replay_strategy
from ean_mm.registry import STRATEGIES
from ean_mm.search import Atlas, Evaluation, RandomSearch, Reward
from ean_mm.structures import ConnectionScheme, Ticket
from ean_mm.visualization import to_text

SCHEMES = [ConnectionScheme.from_mask(mask, LAYOUT) for mask in product((False, True), repeat=4)]
# 0110 is best, 0000 second, 1111 third
VALUES = {'00 00': 9.0, '11 11': 8.0, '01 10': 10.0, '00 11': 7.5}
ATLAS = Atlas({scheme: VALUES.get(str(scheme), 1.0) for scheme in SCHEMES})
STEPS = ((3, 15), (3, 6), (6, 1))


@pytest.fixture
def listed(monkeypatch):
    """A config of a strategy that proposes STEPS."""

    def build(num_connections, seed):
        return Listed(*STEPS)

    monkeypatch.setitem(STRATEGIES.module_dict, 'Listed', build)
    return dict(type='ean_mm.Listed')


def test_a_search_by_hand(listed):
    (replay,) = replay_strategy(ATLAS, listed, Reward(), [7])
    # none, all, 0011 | 0110 | 0001
    assert replay.ticket == Evaluation(scheme_of(6), 'proposal', 1, 10.0, 10.0)
    assert replay.regrets == (1.0, 1.0, 1.0, 0.0, 0.0)
    assert (replay.seed, replay.found_after, replay.num_distinct, replay.num_steps) == (7, 4, 5, 3)
    assert replay.regret == 0


def test_what_is_not_eligible_counts_as_scored_but_not_as_found(listed):
    (replay,) = replay_strategy(ATLAS, listed, Reward(sparsity_weight=10.0), [0], min_connected=3)
    # of 3 and 4 connections, 1111 has 8.0 and the rest 1.0 + 10 / 4
    assert replay.ticket.scheme == ConnectionScheme.all(LAYOUT)
    assert replay.regrets == (float('inf'), 0.0, 0.0, 0.0, 0.0)
    assert replay.found_after == 2


def test_the_number_of_schemes_can_be_limited(listed):
    (replay,) = replay_strategy(ATLAS, listed, Reward(), [0], max_schemes=3)
    assert replay.ticket.scheme == ConnectionScheme.none(LAYOUT)
    assert (replay.regrets, replay.found_after, replay.num_steps) == ((1.0, 1.0, 1.0), 1, 1)


def test_each_seed_is_a_search_of_its_own():
    strategy = dict(type='ean_mm.RandomSearch', num_steps=2, samples_per_step=3, seed=99)
    replays = replay_strategy(ATLAS, strategy, Reward(), range(6))
    for seed, replay in enumerate(replays):
        proposed = np.concatenate([RandomSearch(4, seed=seed).propose(step) for step in range(2)])
        schemes = [SCHEMES[0], SCHEMES[-1], *(ConnectionScheme.from_mask(mask, LAYOUT) for mask in proposed)]
        distinct = list(dict.fromkeys(schemes))
        best = max(distinct, key=ATLAS)
        assert (replay.seed, replay.ticket.scheme, replay.num_distinct) == (seed, best, len(distinct))
        assert replay.found_after == distinct.index(best) + 1
    assert len({replay.regrets for replay in replays}) > 1


def test_the_replay_of_a_search_is_that_search(tiny_config, tmp_path):
    """The scores of a real supernet, all sixty-four, and the search that SearchHook then runs on them."""
    tiny_config.train_cfg.max_epochs = 1
    tiny_config.custom_hooks[1].update(score_all=True, num_calibration_images=20, max_schemes=12, seed=3)
    tiny_config.custom_hooks[1].strategy = dict(type='ean_mm.Reinforce', num_steps=6, lr=0.5)
    Runner.from_cfg(copy.deepcopy(tiny_config)).train()
    work_dir = Path(tiny_config.work_dir)
    hook = tiny_config.custom_hooks[1]
    atlas = Atlas.load(work_dir / 'atlas.csv')
    searched = lines(work_dir)
    for line in searched:
        assert atlas(ConnectionScheme.from_string(line['scheme'])) == line['metric']
    (replay,) = replay_strategy(atlas, hook.strategy, Reward(**hook.reward), [3], 1, 12)
    assert replay.ticket.scheme == Ticket.load(work_dir / 'ticket.json').scheme
    assert replay.num_distinct == len(searched)
    assert str(replay.ticket.scheme) == searched[replay.found_after - 1]['scheme']
    best = max(line['reward'] for line in searched if line['num_connected'] >= 1)
    assert replay.regret == atlas.best(Reward(**hook.reward), 1)[1] - best


@pytest.fixture
def atlas_path(tmp_path):
    path = tmp_path / 'folder' / 'atlas.csv'
    path.parent.mkdir()
    rows = [f'{scheme},{scheme.num_connected},{ATLAS(scheme)}\n' for scheme in SCHEMES]
    path.write_text('scheme,connected,metric\n' + ''.join(rows))
    return path


def make_config(**changes):
    hook = dict(
        type='ean_mm.SearchHook',
        strategy=dict(type='ean_mm.RandomSearch', num_steps=4, samples_per_step=1),
        reward=dict(metric='mIoU', sparsity_weight=0.5),
        min_connected=1,
    )
    return Config(dict(custom_hooks=[{**hook, **changes}]))


def cells(text):
    return [[cell.strip() for cell in line.split('│')[1:-1]] for line in text.splitlines() if '│' in line]


def test_the_text_has_a_row_per_seed_and_says_what_there_was_to_find(atlas_path):
    text = replay_config(str(atlas_path), make_config(), 6, None, None)
    rows = cells(text)
    assert [row[0] for row in rows] == [*'012345', 'first quartile', 'median', 'third quartile']
    assert {row[7] for row in rows[:6]} == {'4'}
    found = [row for row in rows[:6] if row[4] == '0.000']
    assert {(row[1], row[2], row[3]) for row in found} == {('01 10', '10.00', '10.25')}
    assert f"Best of the 16 schemes: '01 10', mIoU 10.00, reward 10.25; {len(found)} of 6 seeds found it" in text
    assert 'RandomSearch on the scores of' in text
    assert f'Picture: {atlas_path.parent / "replay.png"}' in text
    assert (atlas_path.parent / 'replay.png').read_bytes().startswith(b'\x89PNG')


def test_steps_and_schemes_can_be_set_for_a_replay(atlas_path):
    limited = make_config(max_schemes=4)
    everything = cells(replay_config(str(atlas_path), limited, 2, 16, 16))
    assert {row[6] for row in everything} == {'16'}
    assert {row[4] for row in everything} == {'0.000'}
    assert {row[1] for row in everything[:2]} == {'01 10'}
    assert {row[6] for row in cells(replay_config(str(atlas_path), limited, 2, 16, None))} == {'4'}


def test_quartiles_are_taken_over_seeds(listed):
    replays = replay_strategy(ATLAS, listed, Reward(), [0]) * 2
    replays += replay_strategy(ATLAS, listed, Reward(), [0], max_schemes=2)
    rows = cells(to_text(draw_replays(replays, 'title', 'mIoU')))
    # metrics 10, 10, 9; found after 4, 4, 1
    assert [(row[2], row[5]) for row in rows[-3:]] == [('9.50', '2.5'), ('10.00', '4'), ('10.00', '4')]


@pytest.mark.parametrize(
    ('changes', 'numbers', 'match'),
    [
        ({}, (0, None, None), r'`seeds` must be a whole number of at least 1, but got 0'),
        ({}, (1, 0, None), r'`num_steps` must be a whole number of at least 1, but got 0'),
        ({}, (1, None, 1), r'`max_schemes` must be a whole number of at least 2, but got 1'),
        ({'min_connected': 5}, (1, None, None), r'`min_connected` must be at most the 4 connections'),
        ({'strategy': dict(type='ean_mm.RandmSearch')}, (1, None, None), r"did you mean 'ean_mm.RandomSearch'"),
        ({'type': 'Other'}, (1, None, None), r'`custom_hooks` must hold an ean_mm.SearchHook'),
    ],
)
def test_wrong_input_is_named(atlas_path, changes, numbers, match):
    with pytest.raises(ValueError, match=match):
        replay_config(str(atlas_path), make_config(**changes), *numbers)
    assert not (atlas_path.parent / 'replay.png').exists()


def test_further_files_come_before_the_config(tmp_path):
    (tmp_path / 'c.py').write_text('x = 1\n')
    args = build_parser('A tool.', atlas='a table').parse_args(['atlas.csv', str(tmp_path / 'c.py')])
    assert args.atlas == 'atlas.csv'
    assert load_config(args).x == 1

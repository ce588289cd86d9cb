import inspect
import math
import re
from dataclasses import fields

import numpy as np
import pytest

from ean_mm.search import Reinforce
from ean_mm.search.strategies.reinforce_settings import ReinforceSettings

CHANGES = {
    'samples_per_step': 2,
    'lr': 0.01,
    'hidden_width': 8,
    'temperature': 2.5,
    'entropy_weight': 0.5,
    'curiosity_weight': 0.5,
    'curiosity_per_sample': True,
    'baseline_decay': 0.5,
    'baseline_has_bonus': False,
    'baseline_updated_first': False,
    'replay_weight': 0.3,
    'replay_start': 20,
    'replay_size': 3,
    'replay_ratio_learns': True,
    'clip_epsilon': 0.02,
}


def test_every_setting_is_an_explained_argument():
    names = [field.name for field in fields(ReinforceSettings)]
    arguments = inspect.signature(Reinforce).parameters.values()
    assert [a.name for a in arguments if a.kind is a.KEYWORD_ONLY] == names
    for name in names:
        assert re.search(rf'^ {{8}}{name}: ', Reinforce.__doc__, re.MULTILINE), name
    assert set(CHANGES) == set(names) - {'num_steps'}


@pytest.mark.parametrize('name', CHANGES)
def test_every_setting_overrides_the_preset_and_has_an_effect(name):
    ends = []
    for given in ({}, {name: CHANGES[name]}):
        preset = 'corrected' if name == 'clip_epsilon' else 'paper'
        search = Reinforce(6, preset=preset, **given)
        for step in range(30):
            masks = search.propose(step)
            search.observe(step, masks, masks @ np.array([1.0, -1.0, 2.0, 0.5, 0.0, 3.0]))
        ends.append(search.policy.connect_probs().tolist())
    assert getattr(search.settings, name) == CHANGES[name]
    assert ends[0] != ends[1]


def test_presets_and_overrides():
    paper, corrected = Reinforce(4, preset='paper').settings, Reinforce(4).settings
    changed = {f.name for f in fields(paper) if getattr(paper, f.name) != getattr(corrected, f.name)}
    assert changed == {
        'hidden_width',
        'temperature',
        'curiosity_per_sample',
        'baseline_has_bonus',
        'baseline_updated_first',
        'replay_ratio_learns',
    }
    assert Reinforce(4, num_steps=7).num_steps == 7
    assert Reinforce(4).num_steps == 300


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'preset': 'papr'}, r"`preset` must be one of \['corrected', 'paper'\], but got 'papr'\."),
        ({'preset': []}, r"`preset` must be one of \['corrected', 'paper'\], but got \[\]\."),
        ({'lr': 0}, r'`lr` must be a finite number above 0, but got 0\.'),
        ({'lr': math.inf}, r'`lr` must be a finite number above 0, but got inf\.'),
        (
            {'hidden_width': -1},
            r'`hidden_width` must be a whole number of at least 0, but got -1\.',
        ),
        ({'temperature': 0.0}, r'`temperature` must be a finite number above 0, but got 0\.0\.'),
        (
            {'entropy_weight': -1},
            r'`entropy_weight` must be a finite number of at least 0, .* -1\.',
        ),
        ({'curiosity_weight': 'a'}, r"`curiosity_weight` must be a finite number .* got 'a'\."),
        ({'curiosity_per_sample': 1}, r'`curiosity_per_sample` must be True or False, but got 1\.'),
        ({'baseline_decay': 1.5}, r'`baseline_decay` must be a number from 0 to 1, but got 1\.5\.'),
        ({'baseline_has_bonus': 'no'}, r"`baseline_has_bonus` must be True or False, .* 'no'\."),
        ({'baseline_updated_first': 0}, r'`baseline_updated_first` must be True or False, .* 0\.'),
        ({'replay_weight': math.nan}, r'`replay_weight` must be a finite number .* got nan\.'),
        ({'replay_start': -1}, r'`replay_start` must be a whole number of at least 0, .* -1\.'),
        ({'replay_size': 0}, r'`replay_size` must be a whole number of at least 1, but got 0\.'),
        ({'replay_ratio_learns': 'x'}, r"`replay_ratio_learns` must be True or False, .* 'x'\."),
        ({'clip_epsilon': 0.0}, r'`clip_epsilon` must be a number between 0 and 1, but got 0\.0\.'),
        ({'clip_epsilon': 1.0}, r'`clip_epsilon` must be a number between 0 and 1, but got 1\.0\.'),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        Reinforce(6, **arguments)

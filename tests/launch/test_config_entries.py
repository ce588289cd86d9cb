"""A config less what a phase does not read."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from ean_mm.launch.config_entries import OF_ONE_RUN, OF_TESTING, OF_TRAINING, without

SHIPPED = Path(__file__).parents[2] / 'configs/ean/resnet14_se_digits.py'


def test_named_entries_are_left_out_of_a_copy():
    cfg = Config(dict(a=1, b=dict(c=[2]), d=None))
    changed = without(cfg, 'a', 'd', 'not_there')
    assert changed.to_dict() == dict(b=dict(c=[2]))
    changed.b.c.append(3)
    assert cfg.to_dict() == dict(a=1, b=dict(c=[2]), d=None)


def test_the_name_of_the_file_stays():
    cfg = Config.fromfile(SHIPPED)
    assert without(cfg).to_dict() == cfg.to_dict()
    assert without(cfg, 'model').filename == str(SHIPPED)


BOTH = (*OF_TRAINING, *OF_TESTING)


@pytest.mark.parametrize(
    ('names', 'phases'),
    [((), {'train', 'val', 'test'}), (OF_TRAINING, {'test'}), (OF_TESTING, {'train', 'val'}), (BOTH, set())],
    ids=['all', 'no training', 'no testing', 'neither'],
)
def test_a_runner_builds_the_loops_of_what_is_left(tiny_config, names, phases):
    tiny_config.custom_hooks = []
    runner = Runner.from_cfg(without(tiny_config, *names))
    loops = dict(train=runner._train_loop, val=runner._val_loop, test=runner._test_loop)
    assert {phase for phase, loop in loops.items() if loop is not None} == phases


def test_of_a_shipped_config_the_network_and_its_surroundings_are_left():
    left = set(without(Config.fromfile(SHIPPED), *BOTH, *OF_ONE_RUN).to_dict())
    assert left == {'default_scope', 'env_cfg', 'log_level', 'model', 'randomness', 'test_pipeline', 'visualizer'}

"""Flags of the tools, merged into a config."""

import pytest

from ean_mm.launch import (
    add_search_flags,
    add_training_flags,
    build_parser,
    check_data,
    load_config,
    merge_search_flags,
)
from ean_mm.launch.arguments import find_search_hook

CONFIG = """
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
train_cfg = dict(max_epochs=2)
custom_hooks = [dict(type='ean_mm.SearchHook', seed=0)]
"""


@pytest.fixture
def parse(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text(CONFIG)
    parser = build_parser('A tool.')
    add_training_flags(parser)
    add_search_flags(parser)
    return lambda *flags: parser.parse_args([str(path), *flags])


def test_the_work_directory_is_named_after_the_config(parse):
    assert load_config(parse()).work_dir == 'work_dirs/small'
    assert load_config(parse('--work-dir', 'here')).work_dir == 'here'


def test_options_override_entries(parse):
    args = parse('--cfg-options', 'train_cfg.max_epochs=7', 'custom_hooks.0.seed=3')
    cfg = load_config(args)
    assert cfg.train_cfg.max_epochs == 7
    assert find_search_hook(cfg).seed == 3


def test_training_flags_mean_what_they_mean_in_mm(parse):
    cfg = load_config(parse('--amp', '--resume', '--launcher', 'pytorch'))
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'
    assert (cfg.resume, cfg.load_from, cfg.launcher) == (True, None, 'pytorch')
    assert load_config(parse('--resume', 'epoch_3.pth')).load_from == 'epoch_3.pth'


def test_scaling_the_learning_rate_needs_its_base(parse):
    with pytest.raises(ValueError, match=r'`auto_scale_lr` must be in the config to use --auto-scale-lr'):
        load_config(parse('--auto-scale-lr'))


def test_fast_is_the_fastest_precision_and_racing(parse):
    args = parse('--fast', '--image-budget', '8GiB')
    cfg = load_config(args)
    find_search_hook(cfg).strategy = dict(type='ean_mm.Reinforce')
    merge_search_flags(cfg, args)
    hook = find_search_hook(cfg)
    assert (hook.precision, hook.racing, hook.image_budget) == ('fastest', {}, '8GiB')


def test_fast_leaves_the_settings_of_races_and_the_paper_preset_alone(parse):
    args = parse('--fast')
    cfg = load_config(args)
    find_search_hook(cfg).update(strategy=dict(type='ean_mm.Reinforce'), racing=dict(confidence=0.9))
    merge_search_flags(cfg, args)
    assert find_search_hook(cfg).racing == dict(confidence=0.9)
    cfg = load_config(args)
    find_search_hook(cfg).strategy = dict(type='ean_mm.Reinforce', preset='paper')
    merge_search_flags(cfg, args)
    assert (find_search_hook(cfg).precision, find_search_hook(cfg).get('racing')) == ('fastest', None)


def test_search_flags_reach_the_hook(parse):
    args = parse('--supernet', 'x.pth', '--trust-checkpoint', '--restart')
    cfg = load_config(args)
    merge_search_flags(cfg, args)
    hook = find_search_hook(cfg)
    assert (hook.supernet, hook.trust_checkpoint, hook.restart) == ('x.pth', True, True)


def test_a_config_without_search_is_named(parse):
    args = parse('--cfg-options', 'custom_hooks=[]')
    with pytest.raises(ValueError, match=r'`custom_hooks` must hold an ean_mm.SearchHook to search'):
        merge_search_flags(load_config(args), args)


def test_a_missing_config_is_named():
    args = build_parser('A tool.').parse_args(['configs/nowhere.py'])
    with pytest.raises(ValueError, match=r"`config` must be a file, but got 'configs/nowhere.py'"):
        load_config(args)


def test_missing_data_is_named_before_anything_is_built(tiny_config):
    check_data(tiny_config, 'train_dataloader', 'val_dataloader')
    tiny_config.val_dataloader.dataset = dict(
        type='ean_mm.HoldOut',
        part='reward',
        per_class=100,
        dataset=dict(type='ImageNet', data_root='nowhere/imagenet', split='train'),
    )
    with pytest.raises(OSError, match=r"but got 'nowhere/imagenet' .* https://www.image-net.org"):
        check_data(tiny_config, 'train_dataloader', 'val_dataloader')


def test_the_space_of_a_search_can_be_given(parse):
    args = parse('--fixed', '1** ***', '--limits', 'latency=+5%', 'params=26M', 'num_connected=4', '--max-hours', '2')
    cfg = load_config(args)
    find_search_hook(cfg).strategy = dict(type='ean_mm.PairSurrogate')
    merge_search_flags(cfg, args)
    hook = find_search_hook(cfg)
    assert (hook.fixed, hook.max_hours) == ('1** ***', 2.0)
    assert hook.limits == dict(latency='+5%', params='26M', num_connected=4)
    assert 'warm_start' not in hook
    args = parse('--warm-start', 'one.json', '101 000', '--latency-table', 'there.json')
    merge_search_flags(cfg, args)
    assert hook.warm_start == ['one.json', '101 000']
    assert hook.latency_table == 'there.json'


def test_a_pick_of_another_form_is_refused_before_anything_runs(parse):
    args = parse('--pick', 'best', 'max-latensy=+5%')
    with pytest.raises(
        ValueError, match=r"`pick` must be of best, max-latency=.* but got 'max-latensy=\+5%'; did you mean"
    ):
        merge_search_flags(load_config(args), args)

"""Supernet, search and ticket under a plain Runner."""

import copy
import csv
import json
import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ean_mm.evaluation import SupernetError, SupernetScorer
from ean_mm.hooks.search_outcome import Outcome
from ean_mm.models import EANBackbone
from ean_mm.search import Measurement, SearchFailedError, SearchStateError
from ean_mm.structures import ConnectionScheme, Ticket

DETERMINISTIC = ('search.jsonl', 'ticket.json')


def search(cfg):
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.train()
    return runner


def read(cfg, name):
    return (Path(cfg.work_dir) / name).read_bytes()


def log_of(cfg):
    return ''.join(path.read_text() for path in Path(cfg.work_dir).glob('*/*.log'))


def lines(cfg):
    return [json.loads(line) for line in read(cfg, 'search.jsonl').splitlines()]


@pytest.fixture
def count_scores(monkeypatch):
    counted = []
    original = SupernetScorer.score_many

    def score_many(self, schemes, incumbent=None):
        counted.extend(schemes)
        return original(self, schemes, incumbent)

    monkeypatch.setattr(SupernetScorer, 'score_many', score_many)
    return counted


def interrupt_after(monkeypatch, cfg, limits):
    """Search again and again, each time interrupted in the middle of scoring, after so many batches of reward images."""
    original = SupernetScorer._process
    for limit in limits:
        calls = iter(range(limit))

        def stop(self, batch, calls=calls):
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return original(self, batch)

        monkeypatch.setattr(SupernetScorer, '_process', stop)
        with pytest.raises(KeyboardInterrupt):
            search(cfg)
    monkeypatch.setattr(SupernetScorer, '_process', original)


def test_a_search_leaves_everything_it_promises(tiny_config, count_scores):
    runner = search(tiny_config)
    directory = Path(tiny_config.work_dir)
    for name in ('search.jsonl', 'timing.jsonl', 'ticket.json', 'state.pt', 'supernet.pth', 'results.json'):
        assert (directory / name).stat().st_size > 0, name
    assert (directory / 'search.png').read_bytes().startswith(b'\x89PNG')
    scored = lines(tiny_config)
    assert [line['role'] for line in scored[:3]] == ['control', 'control', 'proposal']
    assert len({line['scheme'] for line in scored}) == len(scored) == len(count_scores) > 10
    ticket = Ticket.load(directory / 'ticket.json')
    best = max((line for line in scored if line['num_connected'] >= 1), key=lambda line: line['reward'])
    assert ticket.metrics['reward'] == best['reward']
    assert ticket.metrics['accuracy/top1'] == best['metric']
    assert best['reward'] == best['metric'] + 1 - best['num_connected'] / 6
    assert runner.model.backbone.scheme == ticket.scheme
    scalars = '\n'.join(path.read_text() for path in directory.glob('*/vis_data/*.json'))
    assert scalars.count('"search/best_reward"') == 5  # the controls and four steps


def test_results_say_what_they_are(tiny_config):
    search(tiny_config)
    results = json.loads(read(tiny_config, 'results.json'))
    assert results['scores'] == 'supernet'
    rows = {row['name']: row for row in results['rows']}
    assert [rows[name]['num_connected'] for name in ('none', 'all')] == [0, 6]
    assert all(rows[name]['latency_ms'] > 0 for name in ('none', 'all', 'ticket'))
    assert rows['none']['params'] < rows['all']['params']


def test_the_metric_is_that_of_a_recalibrated_network(tiny_config):
    runner = search(tiny_config)
    line = lines(tiny_config)[5]
    model = runner.model
    model.backbone.set_scheme(line['scheme'])
    dataset = runner.train_dataloader.dataset
    hook = runner.hooks[-1]
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in hook.calibration:
            model.val_step(batch)
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for batch in runner.val_dataloader:
            for sample in model.val_step(batch):
                correct += int(sample.pred_label == sample.gt_label)
                total += 1
    assert line['metric'] == pytest.approx(100 * correct / total, abs=1e-4)
    assert len(dataset) == 60


def test_calibration_images_are_training_images_without_noise(tiny_config):
    runner = search(tiny_config)
    calibration = runner.hooks[-1].calibration
    batches = list(calibration)
    assert [len(batch['inputs']) for batch in batches] == [20, 20]
    train = {bytes(image.numpy()) for image in (d['inputs'] for d in calibration.images)}
    assert all(bytes(image.numpy()) in train for batch in batches for image in batch['inputs'])
    noisy = {bytes(d['inputs'].numpy()) for d in runner.train_dataloader.dataset}
    assert not train & noisy


def test_the_test_set_is_never_read(tiny_config, monkeypatch):
    from ean_mm.datasets import CuedDigits

    splits = set()
    original = CuedDigits.__getitem__
    monkeypatch.setattr(CuedDigits, '__getitem__', lambda self, i: splits.add(self.split) or original(self, i))
    search(tiny_config)
    assert splits == {'train', 'reward'}


def test_the_same_seed_gives_the_same_files(tiny_config, tmp_path):
    search(tiny_config)
    other = copy.deepcopy(tiny_config)
    other.work_dir = str(tmp_path / 'other')
    search(other)
    for name in DETERMINISTIC:
        assert read(tiny_config, name) == read(other, name)


def test_a_finished_search_prints_its_table_and_scores_nothing(tiny_config, count_scores):
    search(tiny_config)
    before = [read(tiny_config, name) for name in DETERMINISTIC]
    supernet = read(tiny_config, 'supernet.pth')
    count_scores.clear()
    tiny_config.log_level = 'INFO'
    search(tiny_config)
    assert not count_scores
    assert [read(tiny_config, name) for name in DETERMINISTIC] == before
    assert read(tiny_config, 'supernet.pth') == supernet
    assert 'python tools/train.py' in log_of(tiny_config)


def test_an_interrupted_search_continues_to_the_same_files(tiny_config, tmp_path, monkeypatch):
    search(tiny_config)
    other = copy.deepcopy(tiny_config)
    other.work_dir = str(tmp_path / 'other')
    interrupt_after(monkeypatch, other, (2, 6, 5, 11))
    search(other)
    for name in DETERMINISTIC:
        assert read(tiny_config, name) == read(other, name)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(seed=1), "seed was '0' and is now '1'"),
        (dict(num_calibration_images=20), "num_calibration_images was '40' and is now '20'"),
        (dict(strategy=dict(type='ean_mm.RandomSearch', num_steps=9)), 'strategy was .* and is now'),
        (dict(reward=dict(metric='accuracy/top1', sparsity_weight=2.0)), 'reward was .* and is now'),
    ],
)
def test_another_search_in_the_folder_is_refused(tiny_config, change, message):
    search(tiny_config)
    before = [read(tiny_config, name) for name in DETERMINISTIC]
    tiny_config.custom_hooks[1].update(change)
    with pytest.raises(SearchStateError, match=message):
        search(tiny_config)
    assert [read(tiny_config, name) for name in DETERMINISTIC] == before


def test_the_supernet_of_another_training_is_refused(tiny_config):
    search(tiny_config)
    tiny_config.optim_wrapper.optimizer.lr = 0.01
    with pytest.raises(SupernetError, match=r'whose optim_wrapper was .* pass --restart'):
        search(tiny_config)


def test_restart_moves_the_old_search_aside(tiny_config):
    search(tiny_config)
    before = read(tiny_config, 'search.jsonl')
    compared = Path(tiny_config.work_dir) / 'compare/ticket_0'
    compared.mkdir(parents=True)
    tiny_config.custom_hooks[1].update(seed=1, restart=True)
    search(tiny_config)
    assert not compared.exists()
    aside = Path(tiny_config.work_dir) / 'previous_1'
    assert (aside / 'search.jsonl').read_bytes() == before
    assert (aside / 'supernet.pth').exists()
    assert (aside / 'epoch_2.pth').exists()
    assert (aside / 'results.json').exists()
    assert (aside / 'compare/ticket_0').exists()
    assert read(tiny_config, 'search.jsonl') != before


def test_a_given_supernet_skips_training(tiny_config, tmp_path):
    search(tiny_config)
    weights = tmp_path / 'given.pth'
    (Path(tiny_config.work_dir) / 'supernet.pth').rename(weights)
    other = copy.deepcopy(tiny_config)
    other.work_dir = str(tmp_path / 'other')
    other.custom_hooks = [dict(other.custom_hooks[1], supernet=str(weights))]
    runner = search(other)
    assert runner.iter == 0
    assert not (tmp_path / 'other' / 'supernet.pth').exists()
    assert read(other, 'search.jsonl') == read(tiny_config, 'search.jsonl')


def test_a_plain_checkpoint_is_no_supernet(tiny_config, tmp_path):
    weights = Runner.from_cfg(copy.deepcopy(tiny_config)).model.state_dict()
    plain = {key: value for key, value in weights.items() if '.ean.' not in key}
    torch.save({'state_dict': plain}, tmp_path / 'plain.pth')
    tiny_config.custom_hooks[1].supernet = str(tmp_path / 'plain.pth')
    with pytest.raises(SupernetError, match=r'must hold the weights of this ImageClassifier and of its attention'):
        search(tiny_config)


def test_without_recalibration_the_supernets_own_statistics_score(tiny_config, tmp_path):
    search(tiny_config)
    raw = copy.deepcopy(tiny_config)
    raw.work_dir = str(tmp_path / 'raw')
    raw.custom_hooks[1].num_calibration_images = 0
    runner = search(raw)
    assert [line['scheme'] for line in lines(raw)] == [line['scheme'] for line in lines(tiny_config)]
    assert [line['metric'] for line in lines(raw)] != [line['metric'] for line in lines(tiny_config)]
    metrics = runner.model.backbone.set_scheme('all') or runner.val_loop.run()
    assert metrics['accuracy/top1'] == lines(raw)[1]['metric']


class TestBeforeTraining:
    """What is wrong shows before the first iteration."""

    def refuse(self, cfg, error, message):
        with pytest.raises(error, match=message):
            search(cfg)
        assert not list(Path(cfg.work_dir).glob('*.pth'))

    def test_an_unknown_metric(self, tiny_config):
        tiny_config.custom_hooks[1].reward.metric = 'mIoU'
        self.refuse(tiny_config, ValueError, "`reward.metric` must be one .*'accuracy/top1'.*, but got 'mIoU'")

    def test_an_unknown_strategy(self, tiny_config):
        tiny_config.custom_hooks[1].strategy = dict(type='ean_mm.Reinforced')
        self.refuse(tiny_config, ValueError, "`strategy` must name .* did you mean 'ean_mm.Reinforce'")

    def test_more_connections_than_there_are(self, tiny_config):
        tiny_config.custom_hooks[1].min_connected = 7
        self.refuse(tiny_config, ValueError, '`min_connected` must be at most the 6 connections')

    def test_more_calibration_images_than_there_are(self, tiny_config):
        tiny_config.custom_hooks[1].num_calibration_images = 61
        self.refuse(tiny_config, ValueError, 'between 1 and the 60 training images, but got 61')

    def test_no_reward_images(self, tiny_config):
        for name in ('val_dataloader', 'val_cfg', 'val_evaluator'):
            tiny_config[name] = None
        self.refuse(tiny_config, ValueError, '`val_dataloader` must hold the reward images')

    def test_no_supernet_file(self, tiny_config, tmp_path):
        tiny_config.custom_hooks[1].supernet = str(tmp_path / 'nowhere.pth')
        self.refuse(tiny_config, SupernetError, 'must be a file, but got .*nowhere')

    def test_a_folder_in_use(self, tiny_config):
        running = Runner.from_cfg(copy.deepcopy(tiny_config))
        running.hooks[-1].before_run(running)
        self.refuse(tiny_config, SearchStateError, r'which process \d+ on .* is using')
        running.hooks[-1].after_run(running)


def test_no_supernet_hook_is_an_error(tiny_config):
    tiny_config.custom_hooks = tiny_config.custom_hooks[1:]
    with pytest.raises(ValueError, match=r'`custom_hooks` must hold an ean_mm.SupernetHook'):
        search(tiny_config)


def test_scores_that_are_no_number_stop_the_search_and_keep_its_state(tiny_config, monkeypatch, tmp_path):
    search(tiny_config)
    other = copy.deepcopy(tiny_config)
    other.work_dir = str(tmp_path / 'other')
    original = SupernetScorer.score_many
    left = 8

    def fail(self, schemes, incumbent=None):
        nonlocal left
        left -= len(schemes)
        return original(self, schemes, incumbent) if left >= 0 else [Measurement(math.nan)] * len(schemes)

    monkeypatch.setattr(SupernetScorer, 'score_many', fail)
    with pytest.raises(SearchFailedError, match=r'5 failures in a row'):
        search(other)
    assert Ticket.load(Path(other.work_dir) / 'ticket.json')
    monkeypatch.setattr(SupernetScorer, 'score_many', original)
    search(other)
    assert [line['metric'] for line in lines(other)[:8]] == [line['metric'] for line in lines(tiny_config)[:8]]


def test_none_is_named_when_it_wins(tiny_config):
    tiny_config.log_level = 'INFO'
    tiny_config.custom_hooks[1].reward.sparsity_weight = 1000.0
    search(tiny_config)
    assert 'No attention at all scored best here: reward 10' in log_of(tiny_config)


class TestRetraining:
    def test_the_written_config_runs_as_it_is(self, tiny_config, tmp_path):
        search(tiny_config)
        moved = tmp_path / 'moved'
        Path(tiny_config.work_dir).rename(moved)
        cfg = Config.fromfile(moved / 'retrain.py')
        cfg.work_dir = str(tmp_path / 'retrain')
        assert [hook.type for hook in cfg.custom_hooks] == ['ean_mm.PlainCheckpointHook']
        assert cfg.val_dataloader.dataset.split == 'test'
        runner = Runner.from_cfg(cfg)
        runner.train()
        assert runner.model.backbone.scheme == Ticket.load(moved / 'ticket.json').scheme
        assert runner.iter == 6

    def test_a_recipe_gives_everything_but_the_model(self, tiny_config, tmp_path):
        recipe = copy.deepcopy(tiny_config)
        recipe.custom_hooks = []
        recipe.train_cfg.max_epochs = 7
        recipe.model.backbone.attention.reduction = 1
        recipe.dump(str(tmp_path / 'recipe.py'))
        tiny_config.custom_hooks[1].retrain_config = str(tmp_path / 'recipe.py')
        search(tiny_config)
        cfg = Config.fromfile(Path(tiny_config.work_dir) / 'retrain.py')
        assert cfg.train_cfg.max_epochs == 7
        assert cfg.model.backbone.attention.reduction == 2
        assert EANBackbone(**{k: v for k, v in cfg.model.backbone.items() if k != 'type'})


def test_the_ticket_network_scores_as_the_supernet_under_its_mask(tiny_config):
    runner = search(tiny_config)
    ticket = str(Path(tiny_config.work_dir) / 'ticket.json')
    backbone = dict(tiny_config.model.backbone, ticket=ticket)
    backbone.pop('type')
    network = EANBackbone(**backbone)
    state = runner.model.backbone.state_dict()
    network.load_state_dict(state, strict=False)
    image = torch.randn(2, 3, 32, 32)
    network.eval()
    runner.model.eval()
    with torch.no_grad():
        assert torch.equal(network(image)[0], runner.model.backbone(image)[0])
    assert isinstance(network.scheme, ConnectionScheme)


class TestSharedScoring:
    def test_it_changes_no_number(self, tiny_config, tmp_path):
        search(tiny_config)
        alone = copy.deepcopy(tiny_config)
        alone.work_dir = str(tmp_path / 'alone')
        alone.custom_hooks[1].activation_budget = '0B'
        search(alone)
        for name in DETERMINISTIC:
            assert read(tiny_config, name) == read(alone, name)

    def test_the_timing_says_what_was_computed(self, tiny_config):
        search(tiny_config)
        steps = [json.loads(line) for line in read(tiny_config, 'timing.jsonl').splitlines()]
        last = steps[-1]
        assert last['distinct'] == last['num_schemes'] == len(lines(tiny_config))
        assert last['naive_block_images'] == last['num_schemes'] * 6 * (100 + 40)
        assert 0 < last['block_images'] < 0.8 * last['naive_block_images']
        assert 0 < last['peak_bytes'] <= 2 * 2**30
        assert [step['proposals'] for step in steps] == [2, 3, 3, 3, 3]

    def test_another_search_finds_the_scores(self, tiny_config, tmp_path, count_scores):
        store = str(tmp_path / 'scores.jsonl')
        tiny_config.custom_hooks[1].score_store = store
        search(tiny_config)
        num_scored = len(count_scores)
        again = copy.deepcopy(tiny_config)
        again.work_dir = str(tmp_path / 'again')
        again.custom_hooks = [
            {**again.custom_hooks[1], 'supernet': str(Path(tiny_config.work_dir) / 'supernet.pth')},
        ]
        search(again)
        assert len(count_scores) == num_scored
        assert read(again, 'search.jsonl') == read(tiny_config, 'search.jsonl')

    def test_scores_of_another_supernet_are_not_used(self, tiny_config, tmp_path, count_scores):
        tiny_config.custom_hooks[1].score_store = str(tmp_path / 'scores.jsonl')
        search(tiny_config)
        num_scored = len(count_scores)
        other = copy.deepcopy(tiny_config)
        other.work_dir = str(tmp_path / 'other')
        other.randomness.seed = 1
        search(other)
        assert len(count_scores) == 2 * num_scored

    def test_an_attention_with_batch_norm_scores_every_scheme_by_itself(self, tiny_config):
        pytest.importorskip('timm')
        tiny_config.log_level = 'WARNING'
        tiny_config.model.backbone.attention = dict(type='ean_mm.TimmAttention', name='cbam', rd_ratio=0.5)
        search(tiny_config)
        assert 'Every scheme is scored by itself: the attention of stage0 has batch norm' in log_of(tiny_config)
        last = json.loads(read(tiny_config, 'timing.jsonl').splitlines()[-1])
        assert 'block_images' not in last

    @pytest.mark.parametrize('budget', ['2 pounds', -1, True, None, 'GiB'])
    def test_a_budget_that_is_no_number_of_bytes(self, tiny_config, budget):
        tiny_config.custom_hooks[1].activation_budget = budget
        with pytest.raises(ValueError, match=r"`activation_budget` must be a number of bytes, like '2GiB', but got"):
            search(tiny_config)


class TestRacing:
    """Where sparsity counts for much, schemes with many connections lose before the end."""

    @pytest.fixture
    def racing_config(self, tiny_config):
        tiny_config.val_dataloader.batch_size = 10
        tiny_config.custom_hooks[1].reward.sparsity_weight = 100.0
        tiny_config.custom_hooks[1].racing = dict(confidence=0.9, min_slices=2)
        return tiny_config

    def without_racing(self, cfg, tmp_path, **changes):
        other = copy.deepcopy(cfg)
        other.work_dir = str(tmp_path / 'other')
        other.custom_hooks = [
            {**other.custom_hooks[1], 'supernet': str(Path(cfg.work_dir) / 'supernet.pth'), **changes}
        ]
        return other

    def test_losers_have_estimates_and_all_others_their_score(self, racing_config, tmp_path, monkeypatch):
        texts, write = [], Outcome.write
        monkeypatch.setattr(Outcome, 'write', lambda *given: texts.append(write(*given)) or texts[-1])
        search(racing_config)
        full = self.without_racing(racing_config, tmp_path, racing=None)
        search(full)
        raced = {line['scheme']: line for line in lines(racing_config)}
        scored = {line['scheme']: line for line in lines(full)}
        partial = {scheme for scheme, line in raced.items() if 'num_images' in line}
        assert set(raced) == set(scored)
        assert 3 < len(partial) < len(raced) - 3
        assert all(raced[scheme] == scored[scheme] for scheme in set(raced) - partial)
        best = max(line['reward'] for line in scored.values() if line['num_connected'])
        assert all(scored[scheme]['reward'] < best for scheme in partial)
        assert read(racing_config, 'ticket.json') == read(full, 'ticket.json')
        last = json.loads(read(racing_config, 'timing.jsonl').splitlines()[-1])
        assert last['dropped'] == len(partial)
        assert last['images_saved'] == sum(100 - raced[scheme]['num_images'] for scheme in partial)
        assert last['block_images'] < json.loads(read(full, 'timing.jsonl').splitlines()[-1])['block_images']
        results = json.loads(read(racing_config, 'results.json'))
        assert results['num_partial'] == len(partial)
        assert not partial & {row['scheme'] for row in results['rows']}
        assert f'{len(partial)} of {len(raced)} schemes were dropped with an estimate' in texts[0]
        assert 'Racing' not in texts[1]
        store = [json.loads(line) for line in read(racing_config, 'scores.jsonl').splitlines()]
        assert {line['scheme'] for line in store if 'scheme' in line} == set(raced) - partial

    @pytest.mark.parametrize('budget', ['2GiB', '0B'])
    def test_interrupted_or_scored_alone_it_leaves_the_same_files(self, racing_config, tmp_path, monkeypatch, budget):
        search(racing_config)
        other = self.without_racing(racing_config, tmp_path, activation_budget=budget)
        interrupt_after(monkeypatch, other, (3, 22 + 15, 2 + 25, 40))
        search(other)
        for name in DETERMINISTIC:
            assert read(racing_config, name) == read(other, name)

    def test_too_few_batches_race_nobody(self, racing_config, tmp_path, monkeypatch):
        texts = []
        monkeypatch.setattr('ean_mm.evaluation.racing.print_log', lambda text, **_: texts.append(text))
        racing_config.custom_hooks[1].racing.min_slices = 10
        search(racing_config)
        assert len(texts) == 1
        assert '`val_dataloader` must yield more than 10 batches (`min_slices`), but got 10' in texts[0]
        assert not any('num_images' in line for line in lines(racing_config))
        full = self.without_racing(racing_config, tmp_path, racing=None)
        search(full)
        assert read(racing_config, 'search.jsonl') == read(full, 'search.jsonl')

    def test_other_settings_are_another_search(self, racing_config):
        search(racing_config)
        racing_config.custom_hooks[1].racing = None
        with pytest.raises(SearchStateError, match=r'racing was .*"confidence": 0.9.* and is now not given'):
            search(racing_config)

    @pytest.mark.parametrize(
        ('racing', 'message'),
        [
            (dict(confidance=0.9), "`racing` must hold nothing but its settings, but got 'confidance'; did you mean"),
            (dict(min_slices=1), '`min_slices` must be a whole number of at least 2, but got 1'),
        ],
    )
    def test_settings_that_are_refused(self, tiny_config, racing, message):
        tiny_config.custom_hooks[1].racing = racing
        with pytest.raises(ValueError, match=message):
            search(tiny_config)
        assert not list(Path(tiny_config.work_dir).glob('*.pth'))


class TestAtlas:
    def test_every_scheme_is_in_the_table_and_a_search_replays_on_it(self, tiny_config, tmp_path, count_scores):
        search(tiny_config)
        num_scored = len(count_scores)
        atlas = copy.deepcopy(tiny_config)
        atlas.work_dir = str(tmp_path / 'atlas')
        supernet = str(Path(tiny_config.work_dir) / 'supernet.pth')
        atlas.custom_hooks = [{**atlas.custom_hooks[1], 'supernet': supernet, 'score_all': True}]
        search(atlas)
        assert len(count_scores) == num_scored + 64
        rows = list(csv.DictReader(read(atlas, 'atlas.csv').decode().splitlines()))
        assert len({row['scheme'] for row in rows}) == len(rows) == 64
        assert [float(row['reward']) for row in rows] == sorted((float(row['reward']) for row in rows), reverse=True)
        metrics = {row['scheme']: float(row['metric']) for row in rows}
        assert all(metrics[line['scheme']] == line['metric'] for line in lines(tiny_config))
        assert read(atlas, 'search.jsonl') == read(tiny_config, 'search.jsonl')

    def test_a_large_space_is_refused_before_training(self, tiny_config):
        tiny_config.model.backbone.backbone.depth = 50
        tiny_config.custom_hooks[1].score_all = True
        with pytest.raises(ValueError, match=r'`score_all` must be off beyond 14 sites, but got on with 24'):
            search(tiny_config)
        assert not list(Path(tiny_config.work_dir).glob('*.pth'))

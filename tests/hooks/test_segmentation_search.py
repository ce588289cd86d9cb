"""Supernet and search of a segmentor, with mIoU as the reward, through the hooks that search classifiers."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.runner import IterBasedTrainLoop, Runner
from tiny_tasks import load_tiny
from torch import nn

from ean_mm.evaluation import SharedScorer, SupernetScorer
from ean_mm.evaluation.recalibration import find_norms
from ean_mm.models import EANBackbone
from ean_mm.registry import HOOKS
from ean_mm.structures import ConnectionScheme, Ticket

pytest.importorskip('mmseg.models')

NAME = 'fcn_resnet20_se_digitscenes'
LAYOUT = (2, 2, 2)
SCHEMES = [
    ConnectionScheme.parse(text, LAYOUT) for text in ('none', 'all', '10 00 00', '10 11 00', '10 01 01', '01 01 01')
]
UPER = dict(
    _delete_=True,
    type='UPerHead',
    in_channels=[8, 16, 32],
    in_index=[0, 1, 2],
    pool_scales=(1, 2),
    channels=16,
    dropout_ratio=0.1,
    num_classes=11,
    norm_cfg=dict(type='BN'),
    align_corners=False,
    loss_decode=dict(type='CrossEntropyLoss'),
)


@pytest.fixture
def cfg(tmp_path):
    cfg = load_tiny(NAME, tmp_path, depth=14)
    cfg.custom_hooks[1].update(
        strategy=dict(type='ean_mm.RandomSearch', num_steps=4),
        num_calibration_images=12,
        calibration_batch_size=4,
        min_connected=1,
    )
    return cfg


def search(cfg):
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def lines(cfg, name='search.jsonl'):
    return [json.loads(line) for line in (Path(cfg.work_dir) / name).read_text().splitlines()]


def log_of(cfg):
    return ''.join(path.read_text() for path in Path(cfg.work_dir).glob('*/*.log'))


def test_supernet_search_ticket_and_its_training(cfg, tmp_path, monkeypatch):
    runner = search(cfg)
    assert runner.iter == 2
    scored = lines(cfg)
    assert [line['role'] for line in scored[:3]] == ['control', 'control', 'proposal']
    assert all(0 <= line['metric'] <= 100 for line in scored)
    best = max((line for line in scored if line['num_connected'] >= 1), key=lambda line: line['reward'])
    ticket = Ticket.load(Path(cfg.work_dir) / 'ticket.json')
    assert ticket.metrics == {'mIoU': best['metric'], 'reward': best['reward']}
    work = lines(cfg, 'timing.jsonl')[-1]
    assert 0 < work['block_images'] < work['naive_block_images']  # passes are shared
    assert 'scored by itself' not in log_of(cfg)

    retrain = Config.fromfile(Path(cfg.work_dir) / 'retrain.py')
    retrain.work_dir = str(tmp_path / 'retrain')
    assert retrain.custom_hooks == [dict(type='ean_mm.PlainCheckpointHook')]
    counted, original = [], IterBasedTrainLoop.run_iter
    monkeypatch.setattr(IterBasedTrainLoop, 'run_iter', lambda self, batch: counted.append(original(self, batch)))
    trained = search(retrain)
    assert len(counted) == trained.iter == trained.max_iters == 2
    assert trained.model.backbone.scheme == ticket.scheme
    assert trained.val_dataloader.dataset.recipe.split == 'test'
    (validated,) = [line for path in (tmp_path / 'retrain').rglob('scalars.json') for line in read_scalars(path)]
    assert {'aAcc', 'mIoU', 'mAcc'} <= validated.keys()
    assert (tmp_path / 'retrain/iter_2.pth').exists()


def read_scalars(path):
    return [line for line in map(json.loads, path.read_text().splitlines()) if 'mIoU' in line]


@pytest.mark.slow
def test_a_search_starts_where_it_was_killed(cfg, monkeypatch):
    original, calls = SupernetScorer._process, iter(range(20))

    def stop(self, batch):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return original(self, batch)

    monkeypatch.setattr(SupernetScorer, '_process', stop)
    with pytest.raises(KeyboardInterrupt):
        search(cfg)
    monkeypatch.setattr(SupernetScorer, '_process', original)
    search(cfg)
    resumed = (Path(cfg.work_dir) / 'search.jsonl').read_bytes()
    supernet = str(Path(cfg.work_dir) / 'supernet.pth')
    cfg.work_dir += '_whole'
    cfg.custom_hooks[1].supernet = supernet
    search(cfg)
    assert (Path(cfg.work_dir) / 'search.jsonl').read_bytes() == resumed


def test_racing_is_refused_for_a_ratio_of_sums(cfg):
    cfg.custom_hooks[1].racing = {}
    search(cfg)
    reason = 'No racing, every scheme is scored in full: the metric of '
    assert log_of(cfg).count(reason) == 1
    assert 'only a mean over images can be raced, not a ratio of sums like mIoU' in log_of(cfg)
    assert not any('num_images' in line for line in lines(cfg))
    assert lines(cfg, 'timing.jsonl')[-1]['dropped'] == 0


class LogitSum(BaseMetric):
    """A metric that shows the last bit: the sum of all logits in float64."""

    def process(self, data_batch, data_samples):
        self.results.extend(sample['seg_logits']['data'].double().sum().item() for sample in data_samples)

    def compute_metrics(self, results):
        return {'sum': sum(results)}


def make_scorer(cfg):
    """A scorer of the untrained segmentor by the sum of its logits, with statistics of some batches."""
    cfg.custom_hooks[1].reward.metric = 'sum'
    runner = Runner.from_cfg({**cfg, 'custom_hooks': [], 'experiment_name': cfg.work_dir})
    runner.val_loop  # noqa: B018 (mmengine builds it on first use)
    model = runner.model
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(0.5)  # not what calibration finds
    for parameter in model.backbone.ean.parameters():
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
    calibration = HOOKS.build(cfg.custom_hooks[1])._build_calibration(runner)
    evaluator = Evaluator([LogitSum()])
    return SupernetScorer(model, model.backbone, runner.val_dataloader, evaluator, 'sum', calibration)


@pytest.mark.parametrize('head', ['one scale', 'three scales'])
def test_shared_scores_are_those_of_scoring_alone(cfg, head):
    if head == 'three scales':
        cfg.model.backbone.backbone.out_indices = (0, 1, 2)
        cfg.merge_from_dict(dict(model=dict(decode_head=UPER)))
    plain = make_scorer(cfg)
    shared = SharedScorer(plain)
    shared.check()
    expected = plain.score_many(SCHEMES)
    assert shared.score_many(SCHEMES) == expected
    assert len({measured.metric for measured in expected}) == len(SCHEMES)
    assert shared.facts.block_images < shared.facts.naive_block_images
    first, second = (Evaluator([LogitSum(), build_iou(plain)]) for _ in range(2))
    plain.evaluator, shared.evaluator = first, second
    plain.metric = shared.metric = 'mIoU'
    assert shared.score_many(SCHEMES) == plain.score_many(SCHEMES)


def build_iou(scorer):
    from mmseg.evaluation import IoUMetric

    metric = IoUMetric()
    metric.dataset_meta = scorer.dataloader.dataset.metainfo
    return metric


def test_batch_norm_of_the_head_is_recalibrated_too(cfg):
    scorer = make_scorer(cfg)
    model, scheme = scorer.model, SCHEMES[3]
    found = scorer(scheme)
    of_head = find_norms(model, outside=model.backbone)
    assert len(of_head) == 1
    assert found == pytest.approx(score_by_hand(scorer, scheme, find_norms(model)), rel=1e-9)
    assert found != pytest.approx(score_by_hand(scorer, scheme, find_norms(model.backbone)), rel=1e-3)


def score_by_hand(scorer, scheme, norms):
    """The metric with new statistics in ``norms`` alone; the others keep theirs."""
    model = scorer.model
    assert isinstance(model.backbone, EANBackbone)
    model.backbone.set_scheme(scheme)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in scorer.calibration:
            model(**model.data_preprocessor(batch, False), mode='tensor')
        model.eval()
        samples = [sample for batch in scorer.dataloader for sample in model.val_step(batch)]
    model.load_state_dict(before)
    return sum(sample.seg_logits.data.double().sum().item() for sample in samples)

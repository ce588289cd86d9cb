"""The counter as users meet it: it learns, it takes any size, it runs under mmengine and under a search."""

import json
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ean_mm.analysis import measure_cost
from ean_mm.counting import Counter, CountMetric, PackCountInputs
from ean_mm.evaluation import SharedScorer, SupernetScorer
from ean_mm.hooks.wrapped_backbone import find_backbone
from ean_mm.structures import ConnectionScheme

MODEL = dict(
    type='ean_mm.Counter',
    data_preprocessor=dict(mean=[127.5] * 3, std=[64.0] * 3),
    backbone=dict(
        type='ean_mm.EANBackbone',
        backbone=dict(type='ean_mm.ResNetCifar', depth=8, base_channels=8),
        attention=dict(type='ean_mm.SE', reduction=2),
    ),
    head=dict(type='ean_mm.DensityHead', in_channels=32, hidden_channels=16, upsample=4),
)


def build(scheme: str = 'all') -> Counter:
    init_default_scope('mmengine')
    torch.manual_seed(1)
    model = MODELS.build(MODEL)
    model.init_weights()
    model.backbone.set_scheme(getattr(ConnectionScheme, scheme)(model.backbone.blocks_per_stage))
    return model


def draw_scene(rng, height: int, width: int, num_points: int) -> dict:
    """White dots of 3 x 3 pixels on dark noise, one per point."""
    image = rng.integers(0, 60, (height, width, 3)).astype(np.uint8)
    places = np.stack([rng.integers(1, width - 1, num_points), rng.integers(1, height - 1, num_points)], 1)
    for x, y in places:
        image[y - 1 : y + 2, x - 1 : x + 2] = 255
    return dict(img=image, points=places.astype(np.float32) + 0.5)


def make_batch(sizes, num_points=5, seed=0) -> dict:
    rng = np.random.default_rng(seed)
    pack = PackCountInputs(sigma=1.5)
    return pseudo_collate([pack(draw_scene(rng, *size, num_points)) for size in sizes])


def test_it_learns_to_count_dots():
    """The first batch shows nobody: with ReLU alone in the loss the density would be zero from then on."""
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    losses = []
    for step in range(100):
        batch = make_batch([(32, 32)] * 8, num_points=step % 8, seed=step)
        loss = model(**model.data_preprocessor(batch, True), mode='loss')['loss_density']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8])
    model.eval()
    nobody, few, many = (
        np.mean([sample.pred_count for sample in model.test_step(make_batch([(32, 32)] * 8, number, seed=100))])
        for number in (0, 2, 7)
    )
    assert nobody < 1
    assert few == pytest.approx(2, abs=1)
    assert many == pytest.approx(7, abs=2.5)


def test_every_part_gets_a_gradient_from_scenes_with_and_without_points():
    model = build()
    for num_points in (0, 6):
        model.zero_grad()
        batch = make_batch([(32, 32)] * 2, num_points)
        model.train()
        model(**model.data_preprocessor(batch, True), mode='loss')['loss_density'].backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        assert all(gradient.isfinite().all() for gradient in gradients.values())
        assert all(gradients[f'head.conv{i}.weight'].abs().sum() > 0 for i in (1, 2))
        assert any(g.abs().sum() > 0 for name, g in gradients.items() if name.startswith('backbone.ean'))


@pytest.mark.parametrize('size', [(33, 47), (1, 1), (64, 30), (5, 90)])
def test_any_size_of_image_gives_a_density_of_that_size(size):
    model = build().eval()
    pack = PackCountInputs(sigma=None)
    image = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    (sample,) = model.test_step(pseudo_collate([pack(dict(img=image, points=np.zeros((0, 2))))]))
    assert sample.pred_density.shape == size
    assert sample.pred_count == sample.pred_density.data.sum().item()


def test_images_of_a_batch_keep_their_own_sizes():
    sizes = [(33, 47), (40, 30), (40, 47)]
    model = build().eval()
    batch = make_batch(sizes)
    samples = model.val_step(batch)
    assert [sample.pred_density.shape for sample in samples] == sizes
    whole = model(model.data_preprocessor(batch, False)['inputs'])
    assert whole.shape == (3, 1, 40, 47)
    for sample, own, (height, width) in zip(samples, whole, sizes, strict=True):
        assert torch.equal(sample.pred_density.data, own[:, :height, :width])


def test_modes_are_the_heads_methods():
    model = build().eval()
    data = model.data_preprocessor(make_batch([(21, 32)] * 2), False)
    features = model.backbone(data['inputs'])
    assert torch.equal(model(data['inputs']), model.head(features, (21, 32)))
    loss = model(**data, mode='loss')
    assert loss == model.head.loss(features, (21, 32), data['data_samples'])
    with pytest.raises(ValueError, match=r"`mode` must be one of \('tensor', 'loss', 'predict'\), but got 'count'"):
        model(**data, mode='count')


def test_under_autocast_it_trains():
    model = build().train()
    data = model.data_preprocessor(make_batch([(32, 32)] * 2), True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = model(**data, mode='loss')['loss_density']
    loss.backward()
    assert loss.dtype == torch.float32
    assert model.head.conv1.weight.grad.isfinite().all()


def test_the_search_finds_its_backbone_and_the_cost_holds_the_heads():
    model = build()
    assert find_backbone(model) is model.backbone
    images = torch.randn(1, 3, 32, 40)
    whole = measure_cost(model, model.backbone, lambda: model(images))
    bare = measure_cost(model.backbone, model.backbone, lambda: model.backbone(images))
    assert whole.bare.macs - bare.bare.macs == 16 * (32 + 1) * (8 * 10)
    assert whole.sites == bare.sites


@pytest.mark.parametrize(
    ('part', 'cfg', 'match'),
    [
        (
            'backbone',
            dict(type='ean_mm.EANBackbones'),
            "`backbone` must name a registered model, .*'ean_mm.EANBackbone'",
        ),
        ('head', dict(type='ean_mm.DensityHeads'), "`head` must name a registered model, .*'ean_mm.DensityHead'"),
        ('head', dict(in_channels=3), "`head` must be a dict with a 'type'"),
    ],
)
def test_unknown_parts_are_named(part, cfg, match):
    with pytest.raises(ValueError, match=match):
        MODELS.build({**MODEL, part: cfg})


# -- scoring and searching -----------------------------------------------------------------------------------------------


def scoring_parts(model) -> dict:
    rng = np.random.default_rng(3)
    pack = PackCountInputs(sigma=None)
    sizes = [(32, 32), (32, 32), (24, 36), (32, 30), (21, 25)]
    scenes = [pack(draw_scene(rng, *size, number)) for size, number in zip(sizes, (0, 3, 9, 1, 14), strict=True)]
    return dict(
        model=model,
        backbone=model.backbone,
        dataloader=DataLoader(scenes, batch_size=2, collate_fn=pseudo_collate),
        evaluator=Evaluator(CountMetric()),
        metric='count/neg_mae',
    )


def with_strong_attention() -> Counter:
    model = build().eval()
    for parameter in model.backbone.ean.parameters():
        torch.nn.init.normal_(parameter, std=3)
    with torch.no_grad():
        model.head.conv2.weight.abs_()  # every cell counts
    return model


def test_a_scorer_rewards_small_errors_on_images_of_several_sizes():
    model = with_strong_attention()
    parts = scoring_parts(model)
    scorer = SupernetScorer(**parts)
    scorer.rehearse()
    schemes = [ConnectionScheme.parse(text, (1, 1, 1)) for text in ('1 1 1', '0 1 0')]
    scores = []
    for scheme in schemes:
        model.backbone.set_scheme(scheme)
        samples = [sample for batch in parts['dataloader'] for sample in model.val_step(batch)]
        errors = [abs(sample.pred_count - sample.gt_count) for sample in samples]
        scores.append(-math.fsum(errors) / 5)
    assert scores[0] != scores[1]
    for score in (scorer, SharedScorer(scorer)):
        assert [score(scheme) for scheme in schemes] == scores


@pytest.fixture
def search_config(tmp_path):
    def loader(split, num_scenes, pipeline, **kwargs):
        dataset = dict(
            type='ean_mm.DigitCrowds',
            data_root=str(tmp_path / 'crowds'),
            split=split,
            num_scenes=num_scenes,
            size=40,
            num_digits=(0, 4),
            pipeline=[dict(type='LoadImageFromFile'), *pipeline],
        )
        return dict(batch_size=4, num_workers=0, dataset=dataset, **kwargs)

    counted = [dict(type='ean_mm.PackCountInputs', sigma=None)]
    trained = [
        dict(type='ean_mm.CropWithPoints', height=32, width=32),
        dict(type='ean_mm.FlipWithPoints'),
        dict(type='ean_mm.PackCountInputs', sigma=3.0),
    ]
    in_order, shuffled = (dict(type='DefaultSampler', shuffle=value) for value in (False, True))
    return Config(
        dict(
            default_scope='mmengine',
            work_dir=str(tmp_path / 'work'),
            model=MODEL,
            train_dataloader=loader('train', 8, trained, sampler=shuffled),
            val_dataloader=loader('reward', 6, counted, sampler=in_order),
            val_evaluator=dict(type='ean_mm.CountMetric'),
            test_dataloader=loader('test', 5, counted, sampler=in_order),
            test_evaluator=dict(type='ean_mm.CountMetric'),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
            train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
            val_cfg=dict(),
            test_cfg=dict(),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2)),
            visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
            log_level='WARNING',
            randomness=dict(seed=0),
        )
    )


def test_a_runner_trains_validates_and_tests_it(search_config):
    runner = Runner.from_cfg(search_config)
    runner.train()
    logged = runner.message_hub.log_scalars
    assert len(logged['train/loss_density']._log_history) == 4  # 2 epochs of 2 batches
    metrics = runner.test()
    assert set(metrics) == {'count/mae', 'count/rmse', 'count/neg_mae'}
    samples = [sample for batch in runner.test_dataloader for sample in runner.model.test_step(batch)]
    errors = [abs(sample.pred_count - sample.gt_count) for sample in samples]
    assert metrics['count/mae'] == pytest.approx(sum(errors) / 5)


def test_a_search_leaves_a_ticket_with_the_error_as_its_metric(search_config, tmp_path):
    search_config.custom_hooks = [
        dict(type='ean_mm.SupernetHook'),
        dict(
            type='ean_mm.SearchHook',
            strategy=dict(type='ean_mm.RandomSearch', num_steps=2),
            reward=dict(metric='count/neg_mae', sparsity_weight=0.5),
            num_calibration_images=4,
            calibration_batch_size=4,
            min_connected=1,
        ),
    ]
    Runner.from_cfg(search_config).train()
    ticket = json.loads((tmp_path / 'work/ticket.json').read_text())
    assert ticket['metrics']['count/neg_mae'] < 0
    retrain = Config.fromfile(tmp_path / 'work/retrain.py')
    model = MODELS.build(retrain.model)
    assert str(model.backbone.scheme) == ticket['scheme']

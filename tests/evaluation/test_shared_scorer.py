"""Scores that share their work are those of scoring each scheme by itself, bit for bit."""

import random

import pytest
import torch
from scored_model import SE, batches, build, parts

from ean_mm.evaluation import GraphError, SharedScorer, SupernetScorer
from ean_mm.structures import ConnectionScheme

CIFAR = dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8)
LAYOUT = (2, 2, 2)


def share(given, **budgets):
    return SharedScorer(SupernetScorer(**given), **budgets)


ALL = [ConnectionScheme.from_mask([bool(n >> k & 1) for k in range(6)], LAYOUT) for n in range(64)]
ATTENTIONS = {
    'se': SE,
    'sge': dict(type='ean_mm.SGE', groups=4),
    'dia': dict(type='ean_mm.DIA'),
    'efficient': dict(type='ean_mm.EfficientAttention'),
}


@pytest.mark.parametrize('attention', ATTENTIONS)
@pytest.mark.parametrize('num_calibration', [0, 3])
def test_every_scheme_scores_as_by_itself(attention, num_calibration):
    model = build(CIFAR, ATTENTIONS[attention])
    given = parts(model, num_calibration)
    plain = SupernetScorer(**given).score_many(ALL)
    shared = share(given)
    assert shared.score_many(ALL) == plain
    assert len({measured.metric for measured in plain}) == 64
    assert shared.facts.num_schemes == 64
    assert shared.facts.naive_block_images == 64 * 6 * (20 + 4 * num_calibration)
    # a branch is run once for each prefix before it: 1 + 2 + ... + 32 of 6 * 64
    assert shared.facts.block_images == 63 * (20 + 4 * num_calibration)


@pytest.mark.parametrize('budget', [0, 100_000, 2**30])
def test_one_after_the_other_in_any_order_within_any_budget(budget):
    given = parts(build(CIFAR))
    plain, shared = SupernetScorer(**given), share(given, activation_budget=budget)
    order = random.Random(0).sample(ALL, 20)
    order += order[:3]
    assert [shared(scheme) for scheme in order] == [plain(scheme) for scheme in order]
    assert shared.facts.peak_bytes <= budget
    if budget == 2**30:
        assert shared.facts.block_images < 0.6 * shared.facts.naive_block_images
    if budget == 0:
        assert shared.facts.block_images > 0.85 * shared.facts.naive_block_images


def test_the_model_comes_back_as_it_was():
    model = build(CIFAR)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    inplace = [getattr(module, 'inplace', None) for module in model.modules()]
    scorer = share(parts(model))
    scorer(ALL[5])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert inplace == [getattr(module, 'inplace', None) for module in model.modules()]
    image = batches(1)[0]['inputs']
    assert torch.equal(model.backbone(image)[-1], model.backbone.backbone(image)[-1])


def test_an_exception_leaves_the_model_as_it_was():
    model = build(CIFAR)
    scorer = share(parts(model))
    scorer.evaluator.metrics[0].process = lambda *_: 1 / 0
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ZeroDivisionError):
        scorer(ALL[5])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert 'forward' not in vars(model.backbone)


def test_images_are_read_once_if_they_fit():
    given = parts(build(CIFAR))
    reads = []
    images = given['dataloader'].dataset

    class Counted(list):
        def __getitem__(self, index):
            reads.append(index)
            return images[index]

    given['dataloader'] = torch.utils.data.DataLoader(Counted(images), batch_size=4)
    scorer = share(given)
    first = scorer(ALL[3])
    num_reads = len(reads)
    scorer(ALL[9])
    assert len(reads) == num_reads
    small = share(given, image_budget=1000)
    assert small(ALL[3]) == first
    num_reads = len(reads)
    small(ALL[9])
    assert len(reads) > num_reads


@pytest.mark.parametrize('fails_at', [1, 2, 3])
def test_a_calibration_that_broke_off_is_done_again(fails_at, monkeypatch):
    given = parts(build(CIFAR))
    expected = SupernetScorer(**given)(ALL[37])
    shared = share(given)
    original, calls = shared._catch_images, []

    def fail_once(batch):
        calls.append(batch)
        if len(calls) == fails_at:
            raise MemoryError
        return original(batch)

    monkeypatch.setattr(shared, '_catch_images', fail_once)
    with pytest.raises(MemoryError):
        shared(ALL[37])
    assert len(shared._forward.store) == 0
    assert shared(ALL[37]) == expected


def test_a_pass_that_asks_for_the_size_is_bound_to_it(monkeypatch):
    model = build(CIFAR)
    block = model.backbone.backbone.layer2[0]
    original = type(block).forward
    monkeypatch.setattr(
        type(block), 'forward', lambda self, x: original(self, x if x.shape[2] > 2 else torch.zeros_like(x))
    )
    scorer = share(parts(model))
    scorer.check()
    with (
        torch.no_grad(),
        scorer._forward.active(),
        pytest.raises(GraphError, match=r'read at \(16, 16\), but got \(8, 8\)'),
    ):
        scorer._forward.predict('other', lambda: torch.zeros(2, 3, 8, 8), ALL[0].mask)


class TestRefusals:
    def test_batch_norm_in_an_attention(self):
        pytest.importorskip('timm')
        with pytest.raises(GraphError, match='batch norm, whose statistics mix its sites'):
            share(parts(build(CIFAR, dict(type='ean_mm.TimmAttention', name='cbam', rd_ratio=0.5))))

    def test_a_pass_that_depends_on_values(self, monkeypatch):
        model = build(CIFAR)
        block = model.backbone.backbone.layer2[0]
        original = type(block).forward
        monkeypatch.setattr(type(block), 'forward', lambda self, x: original(self, x) if x.sum() > 0 else x)
        with pytest.raises(GraphError, match='is no fixed graph'):
            share(parts(model))

    def test_a_pass_that_changes_what_it_reads(self, monkeypatch):
        model = build(CIFAR)
        scorer = share(parts(model))
        scorer.check()
        conv = model.backbone.backbone.layer2[1].conv1
        original = conv.forward
        monkeypatch.setattr(conv, 'forward', lambda x: original(x.mul_(0.5)))  # the block's input, which schemes share
        with pytest.raises(GraphError, match='changes the tensor it reads'):
            scorer.check()

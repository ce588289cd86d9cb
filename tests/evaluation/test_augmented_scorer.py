"""Augmented convolutions share their passes too, and score as by themselves, bit for bit."""

import random

import pytest
import torch
from augmented_convs import CFGS, EAA, augment
from random_networks import RESNET_18, RESNET_50
from scored_model import Scored, batches, parts

from ean_mm.evaluation import ActivationStore, SharedForward, SharedScorer, SupernetScorer
from ean_mm.structures import ConnectionScheme

CIFAR = dict(type='ean_mm.ResNetCifar', depth=14, base_channels=8)
AA = dict(CFGS['AAConv2d'], feature_size={8: 16, 16: 8, 32: 4})
ALL = [ConnectionScheme.from_mask([bool(n >> k & 1) for k in range(6)], (2, 2, 2)) for n in range(64)]


def build(conv):
    torch.manual_seed(0)
    model = Scored(CIFAR, dict(type='ean_mm.SE'))
    model.backbone = augment(CIFAR, conv, torch.float)
    model.train()
    for batch in batches(3):
        model(batch['inputs'])
    return model.eval()


@pytest.mark.parametrize('num_calibration', [0, 3])
def test_every_scheme_scores_as_by_itself(num_calibration):
    given = parts(build(EAA), num_calibration)
    plain = SupernetScorer(**given).score_many(ALL)
    shared = SharedScorer(SupernetScorer(**given))
    assert shared.score_many(ALL) == plain
    assert len({measured.metric for measured in plain}) == 64
    assert shared.facts.naive_block_images == 64 * 6 * (20 + 4 * num_calibration)
    # A convolution is run once for each prefix up to its own bit, 2 + 4 + ... + 64 of 6 * 64; on calibration images the last
    # one is run again for the norm behind the backbone, when those before it are known.
    assert shared.facts.block_images == 126 * 20 + (126 + 64) * 4 * num_calibration


@pytest.mark.parametrize(('conv', 'budget'), [(EAA, 100_000), (AA, 2**30)])
def test_one_after_the_other_in_any_order_within_any_budget(conv, budget):
    given = parts(build(conv))
    plain, shared = SupernetScorer(**given), SharedScorer(SupernetScorer(**given), activation_budget=budget)
    order = random.Random(0).sample(ALL, 10)
    order += order[:2]
    assert [shared(scheme) for scheme in order] == [plain(scheme) for scheme in order]
    assert shared.facts.peak_bytes <= budget
    if budget == 2**30:
        assert shared.facts.block_images < 0.9 * shared.facts.naive_block_images


@pytest.mark.parametrize('backbone', [RESNET_18, RESNET_50], ids=['r18', 'r50'])
def test_shared_passes_equal_ordinary_ones(backbone):
    pytest.importorskip('mmpretrain.models')
    net = augment(backbone, dtype=torch.float)
    images = torch.randn(2, 3, 32, 32)
    shared = SharedForward(net, ActivationStore(2**34), False, images)
    masks = torch.rand(4, net.num_connections, generator=torch.Generator().manual_seed(3)) < 0.5
    schemes = [ConnectionScheme.from_mask(mask.tolist(), net.blocks_per_stage) for mask in masks]
    layout = net.blocks_per_stage
    for scheme in [*schemes, ConnectionScheme.none(layout), ConnectionScheme.all(layout), schemes[0]]:
        net.set_scheme(scheme)
        with torch.no_grad(), shared.active():
            found = shared.predict(0, lambda: images, scheme.mask)
            assert all(map(torch.equal, found, net(images)))
    assert shared.num_block_images < 6 * net.num_connections * len(images)


def test_the_model_comes_back_as_it_was():
    model = build(EAA)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    SharedScorer(SupernetScorer(**parts(model)))(ALL[5])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [slot.connected for slot in model.backbone.slots] == list(model.backbone.scheme.mask)

"""Folding gates that hardly vary: which, how far, and what becomes of batch norm."""

import copy
import math

import pytest
import torch
from random_networks import CIFAR, DIA, SE, PlainNet, copy_state, has_state, images, largest_error, wrap
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ean_mm.hooks.wrapped_backbone import find_backbone
from ean_mm.launch.deployment.stripes import choose_stripes, fold_stripes, record_gates
from ean_mm.reparam import SiteGates


class Model(nn.Module):
    """What a model of MM looks like to us."""

    def __init__(self, backbone):
        super().__init__()
        self.part = nn.ModuleDict(dict(backbone=backbone))

    def data_preprocessor(self, batch, training):
        assert not training
        return dict(inputs=batch)

    def forward(self, inputs, mode):
        assert mode == 'tensor'
        return self.part['backbone'](inputs)


BATCHES = [images(dtype=torch.float, seed=seed) for seed in (1, 2, 3)]


@pytest.fixture
def model():
    return Model(wrap(CIFAR, SE, torch.float, sharing='block')).eval()


def gates_of(*deviations):
    """One site after the other; gates of two images, as far apart as the deviation says."""
    widths = [8, 8, 16, 16, 32, 32]
    return [
        SiteGates(site, torch.stack([torch.full((widths[site],), 0.5 + sign * deviation) for sign in (-1, 1)]))
        for site, deviation in enumerate(deviations)
    ]


# -- recording -----------------------------------------------------------------------------------------------------------------


def test_every_gate_that_can_be_folded_is_recorded(model):
    found = record_gates(model, BATCHES)
    assert [each.site for each in found] == list(range(6))
    assert all(len(each.gates) == 6 for each in found)
    assert not any(slot.watcher for slot in find_backbone(model).slots)


def test_and_no_other():
    rows = dict(PlainBlock=dict(after='end', width='conv1'))
    net = wrap(dict(type=PlainNet, ends=[None, lambda width: nn.Softplus()]), SE, torch.float, residual_blocks=rows)
    assert [each.site for each in record_gates(Model(net), BATCHES)] == [0]


# -- folding -------------------------------------------------------------------------------------------------------------------


def test_the_mean_gate_is_folded_and_batch_norm_recalibrated(model):
    before, net = copy_state(model), find_backbone(model)
    gates = gates_of(0.2, 0.1, 0.3)[1:]
    folded = find_backbone(fold_stripes(model, gates, BATCHES))
    assert has_state(model, before)
    assert str(folded.scheme) == '10 01 11'
    for site in (1, 2):
        torch.testing.assert_close(folded.slots[site].child.weight, 0.5 * net.slots[site].child.weight)
    assert torch.equal(folded.slots[0].child.weight, net.slots[0].child.weight)
    check_statistics(folded)


def check_statistics(net):
    """The statistics of each norm are the averages over the batches, of what it sees where each norm uses its batch's own."""
    fresh = copy.deepcopy(net)
    seen = {}
    for name, module in fresh.named_modules():
        if isinstance(module, _BatchNorm):
            module.train()
            module.register_forward_pre_hook(
                lambda module, args, name=name: seen.setdefault(name, []).append(args[0].detach().clone())
            )
    with torch.no_grad():
        for x in BATCHES:
            fresh(x)
    assert seen
    for name, maps in seen.items():
        norm = net.get_submodule(name)
        mean = torch.stack([x.mean((0, 2, 3)) for x in maps]).mean(0)
        variance = torch.stack([x.var((0, 2, 3)) for x in maps]).mean(0)
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-5)
        assert not norm.training
        assert norm.momentum == 0.1


def test_nothing_folded_is_a_copy(model):
    folded = fold_stripes(model, [], BATCHES)
    assert has_state(folded, copy_state(model))
    assert folded is not model


def test_a_network_without_batch_norm_needs_no_statistics():
    rows = dict(PlainBlock=dict(after='end', width='conv1'))
    model = Model(wrap(dict(type=PlainNet), SE, torch.float, residual_blocks=rows))
    gates = record_gates(model, BATCHES)

    def fail():
        raise AssertionError('images are not needed')
        yield

    folded = fold_stripes(model, gates, fail())
    end, given = (find_backbone(each).slots[0].child for each in (folded, model))
    assert torch.allclose(end.bias, given.bias * gates[0].mean)


def test_a_gate_that_is_steady_enough_changes_next_to_nothing():
    net = wrap(CIFAR, SE, torch.float)
    for attention in net.ean.values():
        nn.init.zeros_(attention.attention.excite.weight)  # the gate is its bias's
    model = Model(net).eval()
    gates = record_gates(model, BATCHES)
    assert max(each.deviation for each in gates) < 1e-6
    model_of_statistics = fold_stripes(model, gates, BATCHES)
    recalibrated = fold_stripes(model, gates[:1], BATCHES)
    found, wanted = (each(BATCHES[0], mode='tensor') for each in (model_of_statistics, recalibrated))
    assert largest_error(found, wanted) <= 1e-4


def test_a_recurrent_gate_is_folded_with_the_state_it_had():
    model = Model(wrap(dict(CIFAR, depth=20), DIA, torch.float))
    gates = record_gates(model, BATCHES)
    folded = find_backbone(fold_stripes(model, gates, BATCHES))
    assert folded.scheme.num_connected == 0
    given = find_backbone(model).slots[2].child.weight
    torch.testing.assert_close(folded.slots[2].child.weight, given * gates[2].mean)


# -- choosing ------------------------------------------------------------------------------------------------------------------


def choose(model, metrics, max_drop, deviations=(0.3, 0.1, 0.2)):
    """What is chosen where the metric depends on the number of folded sites, and the sets that were asked for."""
    asked = []

    def evaluate(each):
        folded = 6 - find_backbone(each).scheme.num_connected
        asked.append(str(find_backbone(each).scheme))
        return metrics[folded]

    return choose_stripes(model, gates_of(*deviations), BATCHES, evaluate, max_drop), asked


@pytest.mark.parametrize(
    ('max_drop', 'sites', 'metric'),
    [(100, (0, 1, 2), 50.0), (40, (0, 1, 2), 50.0), (39.9, (1, 2), 89.0), (1, (1, 2), 89.0), (0.5, (), 90.0)],
)
def test_the_largest_set_within_the_limit(model, max_drop, sites, metric):
    trial, _ = choose(model, [90.0, 80.0, 89.0, 50.0], max_drop)
    assert trial.sites == sites
    assert trial.metric == metric
    backbone = find_backbone(trial.model)
    assert [site for site, bit in enumerate(backbone.scheme.mask) if not bit] == list(sites)


def test_the_steadiest_come_first_and_the_largest_set_is_tried_first(model):
    _, asked = choose(model, [90.0, 0.0, 0.0, 0.0], 0)
    assert asked == ['11 11 11', '00 01 11', '10 01 11', '10 11 11']


def test_a_gain_is_no_drop(model):
    trial, asked = choose(model, [90.0, 0.0, 0.0, 91.0], 0)
    assert trial.sites == (0, 1, 2)
    assert len(asked) == 2


def test_where_nothing_may_be_folded_the_model_is_the_given_one(model):
    trial, _ = choose(model, [90.0, 0.0, 0.0, 0.0], 0)
    assert trial.model is model
    assert trial.sites == ()
    assert choose(model, [90.0], 0, deviations=())[0].model is model


def test_a_metric_that_is_no_number_is_no_small_drop(model):
    trial, _ = choose(model, [90.0, 89.5, math.nan, math.nan], 1)
    assert trial.sites == (1,)

"""The head against the same numbers worked out with einsum and kron."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import BaseDataElement, PixelData
from torch.nn import functional as F

from ean_mm.counting import DensityHead


def make_head(upsample=4, scale=100.0, channels=6, hidden=5) -> DensityHead:
    """A head in float64 whose weights are neither all positive nor all negative."""
    torch.manual_seed(0)
    head = DensityHead(channels, hidden, upsample, scale).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return head


def make_features(height, width, batch=2, channels=6):
    generator = torch.Generator().manual_seed(height * 100 + width)
    return (torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64),)


def make_sample(density: torch.Tensor) -> BaseDataElement:
    return BaseDataElement(metainfo=dict(img_shape=tuple(density.shape[-2:])), gt_density=PixelData(data=density))


def cells_by_hand(head, x):
    """The last map before its ReLU."""
    w1, w2 = head.conv1.weight[..., 0, 0], head.conv2.weight[..., 0, 0]
    hidden = (torch.einsum('oc,nchw->nohw', w1, x) + head.conv1.bias.view(-1, 1, 1)).clamp_min(0)
    return torch.einsum('oc,nchw->nohw', w2, hidden) + head.conv2.bias.view(-1, 1, 1)


def sum_squares(density, side):
    """The same people on fewer pixels: sums over squares of ``side`` x ``side``; ``side`` divides both sizes of the map."""
    return density.unfold(-2, side, side).unfold(-2, side, side).sum((-2, -1))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 8))
def test_the_density_repeats_each_cell_and_ends_with_the_image(height, width, upsample):
    head = make_head(upsample)
    features = make_features(math.ceil(height / upsample), math.ceil(width / upsample))
    density = head(features, (height, width))
    cells = cells_by_hand(head, features[0]).detach().numpy()
    repeated = np.kron(cells.clip(0) / head.scale, np.ones((upsample, upsample)))[..., :height, :width]
    np.testing.assert_allclose(density.detach().numpy(), repeated, rtol=1e-12, atol=1e-15)
    assert density.min() >= 0


@pytest.mark.parametrize('upsample', [1, 4, 8])
def test_repeating_keeps_the_count_of_the_cells(upsample):
    head = make_head(upsample)
    features = make_features(5, 7)
    density = head(features, (5 * upsample, 7 * upsample))
    people = upsample**2 / head.scale * cells_by_hand(head, features[0]).clamp_min(0)
    assert people.sum() > 0.1
    torch.testing.assert_close(density.sum((1, 2, 3)), people.sum((1, 2, 3)), rtol=1e-12, atol=0)
    torch.testing.assert_close(sum_squares(density, upsample), people, rtol=1e-12, atol=0)


def test_gradients_of_the_density_are_right():
    head = make_head(upsample=2)
    x = make_features(2, 3, batch=1)[0].requires_grad_()
    inputs = (x, head.conv1.weight, head.conv1.bias, head.conv2.weight, head.conv2.bias)
    assert torch.autograd.gradcheck(lambda x, *_: head((x,), (3, 5)), inputs)


def test_the_loss_is_the_mean_square_of_scaled_differences():
    head = make_head(scale=10.0)
    features, targets = make_features(3, 4), torch.rand(2, 1, 11, 15, dtype=torch.float64) / 10
    targets[targets < 0.05] = 0
    density = head(features, (11, 15))
    values = cells_by_hand(head, features[0]).repeat_interleave(4, -1).repeat_interleave(4, -2)[..., :11, :15]
    assert (values[targets > 0] < 0).any()
    outputs = torch.where(targets > 0, values, 10 * density)
    expected = ((outputs - 10 * targets) ** 2).sum() / (2 * 11 * 15)
    found = head.loss(features, (11, 15), [make_sample(target) for target in targets])
    assert list(found) == ['loss_density']
    torch.testing.assert_close(found['loss_density'], expected)


def test_a_head_that_has_become_zero_everywhere_comes_back_where_people_are():
    head = make_head()
    torch.nn.init.constant_(head.conv2.bias, -100)
    features = make_features(3, 4)
    assert head(features, (12, 16)).sum() == 0
    for people, sign in ((0.0, 0), (0.01, -1)):
        samples = [make_sample(torch.full((1, 12, 16), people, dtype=torch.float64))] * 2
        head.zero_grad()
        head.loss(features, (12, 16), samples)['loss_density'].backward()
        assert head.conv2.bias.grad.sign() == sign


def test_outside_a_smaller_image_of_the_batch_nobody_is_expected():
    head = make_head()
    features, target = make_features(3, 4), torch.rand(1, 9, 10, dtype=torch.float64)
    whole = torch.zeros(2, 1, 12, 16, dtype=torch.float64)
    whole[0, :, :9, :10] = target
    small = [make_sample(target), make_sample(whole[1])]
    full = [make_sample(each) for each in whole]
    assert head.loss(features, (12, 16), small) == head.loss(features, (12, 16), full)


def test_the_loss_pulls_like_that_of_targets_summed_over_cells():
    """Among the pixels of a cell only their mean can be met: both gradients must agree."""
    head = make_head(upsample=4)
    x = make_features(3, 4)[0].requires_grad_()
    targets = torch.rand(2, 1, 12, 16, dtype=torch.float64) / 100
    samples = [make_sample(target) for target in targets]
    assert targets.min() > 0
    (full,) = torch.autograd.grad(head.loss((x,), (12, 16), samples)['loss_density'], x)
    coarse = F.mse_loss(cells_by_hand(head, x), 100 * sum_squares(targets, 4) / 16)
    (expected,) = torch.autograd.grad(coarse, x)
    assert full.abs().max() > 1e-4
    torch.testing.assert_close(full, expected)


def test_a_prediction_is_cut_to_its_image_and_its_sum_is_the_count():
    head = make_head()
    features = make_features(3, 4)
    density = head(features, (12, 16))
    samples = [BaseDataElement(metainfo=dict(img_shape=shape)) for shape in [(9, 16), (12, 13)]]
    found = head.predict(features, (12, 16), samples)
    for own, sample in zip(density, found, strict=True):
        height, width = sample.img_shape
        assert torch.equal(sample.pred_density.data, own[:, :height, :width])
        assert sample.pred_count == own[:, :height, :width].sum().item() > 0
        assert not sample.pred_density.data.requires_grad


def test_a_prediction_without_samples_covers_the_input():
    head = make_head()
    features = make_features(3, 4)
    found = head.predict(features, (12, 16))
    assert [sample.pred_density.shape for sample in found] == [(12, 16)] * 2


@pytest.mark.parametrize(('upsample', 'shape'), [(8, (25, 25)), (4, (13, 13)), (8, (12, 12))])
def test_features_of_another_stride_are_refused(upsample, shape):
    head = make_head(upsample)
    with pytest.raises(ValueError, match=rf'stride of the features, but got {upsample} .* on images of \(100, 100\)'):
        head(make_features(*shape), (100, 100))


def test_samples_without_a_density_are_refused():
    sample = BaseDataElement(metainfo=dict(img_shape=(12, 16)), gt_count=3)
    with pytest.raises(ValueError, match=r"must have a gt_density in training, but got \['gt_count'\]; give the train"):
        make_head().loss(make_features(3, 4), (12, 16), [sample, sample])


def test_under_autocast_the_density_is_float32():
    head = DensityHead(6, 5, 4)
    x = make_features(3, 4)[0].float()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        density = head((x,), (12, 16))
        loss = head.loss((x,), (12, 16), [make_sample(torch.rand(1, 12, 16))] * 2)['loss_density']
    assert density.dtype == loss.dtype == torch.float32


def test_the_stated_number_of_parameters_is_right_and_weights_start_small():
    head = DensityHead(in_channels=1024)
    assert sum(parameter.numel() for parameter in head.parameters()) == 128 * (1024 + 2) + 1
    head.init_weights()
    assert head.conv1.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert head.conv1.bias.abs().sum() + head.conv2.bias.abs().sum() == 0


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(in_channels=0), '`in_channels` must be a whole number of at least 1, but got 0'),
        (dict(hidden_channels=1.5), r'`hidden_channels` must be a whole number of at least 1, but got 1\.5'),
        (dict(upsample=0), '`upsample` must be a whole number of at least 1, but got 0'),
        (dict(scale=0), '`scale` must be a finite number above 0, but got 0'),
    ],
)
def test_wrong_arguments_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        DensityHead(**{**dict(in_channels=8), **change})

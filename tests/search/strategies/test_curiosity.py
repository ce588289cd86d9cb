import numpy as np
import pytest
import torch

from ean_mm.search import Curiosity

MASKS = torch.tensor([[i >> b & 1 for b in range(16)] for i in (0, 12345, 65535)]).bool()


def make(seed=0, **arguments):
    return Curiosity(16, torch.Generator().manual_seed(seed), **arguments)


def forward(layers, x):
    """A plain numpy network: weight and bias in turn, ReLU between."""
    arrays = [value.detach().numpy() for value in layers]
    for i in range(0, len(arrays), 2):
        x = x @ arrays[i].T + arrays[i + 1]
        x = np.maximum(x, 0) if i + 2 < len(arrays) else x
    return x


def test_networks_have_the_published_shapes():
    curiosity = make()
    target = [tuple(parameter.shape) for parameter in curiosity.target.parameters()]
    predictor = [tuple(parameter.shape) for parameter in curiosity.predictor.parameters()]
    assert target == [(32, 16), (32,), (32, 32), (32,), (64, 32), (64,)]
    assert predictor == [(32, 16), (32,), (64, 32), (64,)]
    assert sum(parameter.numel() for parameter in curiosity.predictor.parameters()) == 164 * 16 + 32
    assert sum(parameter.numel() for parameter in curiosity.target.parameters()) == 164 * 16 + 1088


def test_error_is_the_squared_distance_of_the_two_networks():
    curiosity = make()
    bits = MASKS.numpy().astype(float)
    distance = forward(curiosity.predictor.parameters(), bits) - forward(curiosity.target.parameters(), bits)
    expected = (distance**2).sum(1)
    np.testing.assert_allclose(curiosity.error(MASKS).detach().numpy(), expected, rtol=1e-12)


def test_published_bonus_is_the_same_sum_for_every_scheme():
    curiosity = make(per_sample=False)
    errors = curiosity.error(MASKS)
    bonus = curiosity.bonus(errors)
    assert bonus.tolist() == [errors.sum().item()] * 3
    assert not bonus.requires_grad


def test_bonus_per_sample_ranks_the_schemes_and_is_centred():
    curiosity = make(per_sample=True)
    errors = curiosity.error(MASKS)
    bonus = curiosity.bonus(errors)
    expected = (errors - errors.mean()) / curiosity.reference_error
    assert bonus.tolist() == pytest.approx(expected.tolist())
    assert bonus.mean().item() == pytest.approx(0, abs=1e-12)
    assert bonus.argsort().tolist() == errors.argsort().tolist()
    assert bonus.unique().numel() == 3
    assert not bonus.requires_grad


def test_scale_of_the_bonus_is_the_untrained_error():
    for num_connections in (9, 54):
        curiosity = Curiosity(num_connections, torch.Generator().manual_seed(0))
        generator = torch.Generator().manual_seed(1)
        masks = torch.rand(4096, num_connections, generator=generator) < 0.5
        mean = curiosity.error(masks).mean() / curiosity.reference_error
        assert mean.item() == pytest.approx(1, rel=0.02)


def test_a_scheme_seen_often_is_less_novel_than_its_opposite():
    curiosity = make()
    adam = torch.optim.Adam(curiosity.predictor.parameters(), lr=0.05)
    for _ in range(100):
        adam.zero_grad()
        curiosity.error(MASKS[1:2]).sum().backward()
        adam.step()
    seen, opposite = curiosity.error(torch.stack([MASKS[1], ~MASKS[1]])).tolist()
    assert seen < 0.01 * opposite


def test_only_the_predictor_learns():
    curiosity = make()
    curiosity.error(MASKS).sum().backward()
    assert all(parameter.grad is None for parameter in curiosity.target.parameters())
    assert all(parameter.grad.abs().max() > 0 for parameter in curiosity.predictor.parameters())


def test_target_and_predictor_differ_and_depend_on_the_generator():
    first, again, other = make(0).state_dict(), make(0).state_dict(), make(1).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)
    assert not torch.equal(first['target.0.weight'], first['predictor.0.weight'])

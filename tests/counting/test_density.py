"""The sum of a density map is the number of points, wherever they are."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ean_mm.counting import density_map

SETTINGS = settings(max_examples=100, deadline=None)


@st.composite
def scenes(draw):
    """Points anywhere on an image of any small size, edges and corners among them."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    x = st.one_of(st.sampled_from([0.0, float(width)]), st.floats(0, width))
    y = st.one_of(st.sampled_from([0.0, float(height)]), st.floats(0, height))
    return np.array(draw(st.lists(st.tuples(x, y), max_size=30))).reshape(-1, 2), height, width


def window(point, height, width, sigma, radius):
    """One point's part of the density, pixel by pixel."""
    x, y = point
    middle = min(int(y), height - 1), min(int(x), width - 1)
    weights = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            if abs(i - middle[0]) <= radius and abs(j - middle[1]) <= radius:
                weights[i, j] = math.exp(-((j + 0.5 - x) ** 2 + (i + 0.5 - y) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


@SETTINGS
@given(scenes(), st.floats(0.01, 30), st.none() | st.integers(0, 12))
def test_the_sum_is_the_number_of_points(scene, sigma, radius):
    points, height, width = scene
    density = density_map(points, height, width, sigma, radius)
    assert density.dtype == np.float32
    assert density.min() >= 0
    assert density.astype(np.float64).sum() == pytest.approx(len(points), rel=1e-6, abs=0)
    assert torch.from_numpy(density).sum().item() == pytest.approx(len(points), rel=1e-5, abs=0)


@settings(max_examples=25, deadline=None)
@given(scenes(), st.floats(0.3, 10), st.integers(0, 12))
def test_each_pixel_is_the_sum_of_truncated_gaussians(scene, sigma, radius):
    points, height, width = scene
    points = points[:4]
    expected = sum((window(p, height, width, sigma, radius) for p in points), np.zeros((height, width)))
    np.testing.assert_allclose(density_map(points, height, width, sigma, radius), expected, rtol=1e-5, atol=1e-12)


def test_thousands_of_points_on_a_photograph_and_on_its_border_all_count():
    rng = np.random.default_rng(0)
    inside = rng.random((4000, 2)) * (1024, 768)
    corners = np.array([(0, 0), (1024, 0), (0, 768), (1024, 768)])
    edge = np.stack([np.linspace(0, 1024, 500), np.full(500, 768.0)], 1)
    points = np.concatenate([inside, corners, edge]).astype(np.float32)
    density = density_map(points, 768, 1024, sigma=4.0, radius=7)
    assert density.sum() == pytest.approx(4504, rel=1e-5)  # added up in float32


def test_the_centre_of_mass_is_the_point():
    density = density_map(np.array([[20.3, 15.8]]), 40, 40, sigma=2.0, radius=12).astype(np.float64)
    centres = np.arange(40) + 0.5
    assert (density.sum(0) @ centres, density.sum(1) @ centres) == pytest.approx((20.3, 15.8), abs=1e-5)


def test_the_default_window_reaches_three_sigma():
    density = density_map(np.array([[20.5, 20.5]]), 41, 41, sigma=2.5)
    assert np.flatnonzero(density.sum(0)).tolist() == list(range(12, 29))


@pytest.mark.parametrize(
    ('points', 'match'),
    [
        ([[3.0, 2.0], [11.0, 2.0], [-1.0, 0.0]], r'10 x 5 pixels .* but got \[11\.0, 2\.0\] and 1 more outside'),
        ([[2.0, 5.1]], r'but got \[2\.0, 5\.1\] and 0 more outside'),
        ([[math.nan, 1.0]], r'but got \[nan, 1\.0\]'),
        ([1.0, 2.0], r'`points` must have shape \(n, 2\), but got \(2,\)'),
        ([[1.0, 2.0, 3.0]], r'`points` must have shape \(n, 2\), but got \(1, 3\)'),
    ],
)
def test_points_that_are_not_on_the_image_are_refused(points, match):
    with pytest.raises(ValueError, match=match):
        density_map(np.array(points), height=5, width=10)


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(sigma=0), '`sigma` must be a finite number above 0, but got 0'),
        (dict(sigma=math.inf), '`sigma` must be a finite number above 0, but got inf'),
        (dict(sigma='4'), "`sigma` must be a finite number above 0, but got '4'"),
        (dict(radius=-1), '`radius` must be a whole number of at least 0, but got -1'),
        (dict(height=0), '`height` must be a whole number of at least 1, but got 0'),
        (dict(width=2.5), r'`width` must be a whole number of at least 1, but got 2\.5'),
    ],
)
def test_wrong_numbers_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        density_map(**{**dict(points=np.zeros((0, 2)), height=5, width=5), **change})

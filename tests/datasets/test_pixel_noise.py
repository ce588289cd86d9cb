from __future__ import annotations

import math

import numpy as np
import pytest

from ean_mm.datasets import PixelNoise
from ean_mm.registry import TRANSFORMS


def grey(value: int = 128, sample_idx: int = 0) -> dict:
    return dict(img=np.full((64, 64, 3), value, np.uint8), sample_idx=sample_idx, gt_label=4)


@pytest.mark.parametrize('seed', [None, 0])
def test_noise_has_the_stated_spread(seed):
    noisy = PixelNoise(std=0.1, seed=seed)(grey())
    assert noisy['img'].dtype == np.uint8
    assert noisy['gt_label'] == 4
    error = noisy['img'].astype(float) - 128
    assert abs(error.mean()) < 1
    assert error.std() == pytest.approx(25.5, rel=0.03)


def test_noise_is_clipped_not_wrapped():
    black, white = (PixelNoise(std=0.1, seed=0)(grey(value))['img'] for value in (0, 255))
    assert black.max() < 128 < white.min()
    assert (black == 0).mean() == pytest.approx(0.5, abs=0.02)


def test_zero_leaves_the_image_alone():
    assert (PixelNoise(std=0)(grey())['img'] == 128).all()


def test_a_seed_makes_noise_a_function_of_the_sample():
    noise = PixelNoise(seed=1)
    state = np.random.get_state()[1].copy()
    first, other = noise(grey())['img'], noise(grey(sample_idx=1))['img']
    assert (noise(grey())['img'] == first).all()
    assert (first != other).any()
    assert (PixelNoise(seed=2)(grey())['img'] != first).any()
    assert (np.random.get_state()[1] == state).all()


def test_without_a_seed_noise_follows_the_global_generator():
    noise = PixelNoise()
    np.random.seed(0)
    first, second = noise(grey())['img'], noise(grey())['img']
    np.random.seed(0)
    assert (noise(grey())['img'] == first).all()
    assert (first != second).any()


def test_it_is_registered():
    assert repr(TRANSFORMS.build(dict(type='ean_mm.PixelNoise', std=0.2))) == 'PixelNoise(std=0.2, seed=None)'


@pytest.mark.parametrize('std', [-0.1, math.nan, math.inf, '0.1'])
def test_refused_std(std):
    with pytest.raises(ValueError, match=f'`std` must be a finite number of at least 0, but got {std!r}'):
        PixelNoise(std=std)


def test_refused_seed():
    with pytest.raises(ValueError, match=r'`seed` must be a whole number of at least 0, but got -1\.'):
        PixelNoise(seed=-1)

"""Additive noise on the pixels."""

from __future__ import annotations

import math

import numpy as np

from ..registry import TRANSFORMS
from ..structures.checks import require_whole


@TRANSFORMS.register_module()
class PixelNoise:
    """Add independent Gaussian noise to every value of the image.

    ``img = clip(round(img + 255 * std * n), 0, 255)`` with n ~ N(0, 1).

    Args:
        std: standard deviation as a fraction of the range 255, at least 0.
        seed: None draws from numpy's global generator, which mmengine seeds in every worker, as
            other augmentations do. A number, at least 0, makes the noise a function of the seed and
            the sample's ``sample_idx``, whatever the order and the number of workers: right for
            test sets, and for samples that are shown once (``ean_mm.EpochSlices``), whereas samples
            that come back would bring the same noise every time.

    Raises: ValueError if ``std`` or ``seed`` is out of range.

    >>> noisy = PixelNoise(std=0.1, seed=0)({'img': np.zeros((2, 2, 3), np.uint8), 'sample_idx': 3})
    >>> noisy['img'].dtype
    dtype('uint8')
    """

    def __init__(self, std: float = 0.15, seed: int | None = None):
        if not isinstance(std, (int, float)) or not (math.isfinite(std) and std >= 0):
            raise ValueError(f'`std` must be a finite number of at least 0, but got {std!r}.')
        self.std = std
        self.seed = seed if seed is None else require_whole('seed', seed, 0)

    def __call__(self, results: dict) -> dict:
        """Return ``results`` with a noisy ``img``."""
        image = results['img']
        if self.seed is None:
            noise = np.random.standard_normal(image.shape)
        else:
            rng = np.random.default_rng((self.seed, results['sample_idx']))
            noise = rng.standard_normal(image.shape, dtype=np.float32)
        noise *= 255 * self.std
        noise += image
        results['img'] = noise.round(out=noise).clip(0, 255, out=noise).astype(np.uint8)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(std={self.std}, seed={self.seed})'

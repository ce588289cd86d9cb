"""Transforms of an image together with the points on it.

``results['points']`` is (n, 2) float32, x and y in pixels of ``results['img']``. Transforms of other packages that change no
geometry (loading, colours, noise) go with these; those that move pixels (resizing, flips, crops) would leave the points
behind: ``PackCountInputs`` refuses those that leave a trace, mmcv's Resize and RandomFlip. Points outside the image are an
error everywhere; ``ean_mm.CrowdDataset`` has none.
"""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement, PixelData

from ..registry import TRANSFORMS
from ..structures.checks import require_number, require_whole
from .density import density_map, require_inside

_META_KEYS = ('sample_idx', 'img_path', 'ori_shape', 'img_shape')
_OF_OTHERS = ('scale_factor', 'flip_direction')


@TRANSFORMS.register_module()
class CropWithPoints(BaseTransform):
    """Cut a random window out of an image, and keep the points in it.

    An image that is smaller than the window is first filled up below and on the right. Places come from numpy's global
    generator, which mmengine seeds in every worker.

    Args:
        height: of the window, in pixels.
        width: of the window, in pixels.
        pad_value: of the pixels that fill up, in 0..255.

    Raises: ValueError if a size is below 1 or ``pad_value`` is out of range.
    """

    def __init__(self, height: int, width: int, pad_value: int = 0):
        self.height = require_whole('height', height, 1)
        self.width = require_whole('width', width, 1)
        self.pad_value = require_number('pad_value', pad_value, 0, 255, rule='in 0..255')

    def transform(self, results: dict) -> dict:
        """Return ``results`` with ``img``, ``img_shape`` and ``points`` of the window."""
        image = results['img']
        points = _read_points(results)
        image = self._fill_up(image)
        top = np.random.randint(image.shape[0] - self.height + 1)
        left = np.random.randint(image.shape[1] - self.width + 1)
        points = points - np.array([left, top], dtype=np.float32)
        is_inside = ((points >= 0) & (points < (self.width, self.height))).all(1)
        results['img'] = image[top : top + self.height, left : left + self.width]
        results['img_shape'] = (self.height, self.width)
        results['points'] = points[is_inside]
        return results

    def _fill_up(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        missing = (max(0, self.height - height), max(0, self.width - width))
        if not any(missing):
            return image
        return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), constant_values=self.pad_value)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(height={self.height}, width={self.width}, pad_value={self.pad_value})'


@TRANSFORMS.register_module()
class FlipWithPoints(BaseTransform):
    """Mirror an image and its points, left to right, at random; numpy's global generator decides.

    Args:
        prob: how often, in 0..1.

    Raises: ValueError if ``prob`` is out of range.

    >>> flipped = FlipWithPoints(prob=1.0)({'img': np.zeros((4, 6, 3), np.uint8), 'points': np.array([[1.0, 2.0]])})
    >>> flipped['points']
    array([[5., 2.]], dtype=float32)
    """

    def __init__(self, prob: float = 0.5):
        self.prob = require_number('prob', prob, 0, 1, rule='in 0..1')

    def transform(self, results: dict) -> dict:
        """Return ``results`` with ``img`` and ``points`` mirrored or as they were."""
        if np.random.random() < self.prob:
            image = results['img'][:, ::-1]
            points = _read_points(results)
            points[:, 0] = image.shape[1] - points[:, 0]
            results['img'], results['points'] = image, points
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


@TRANSFORMS.register_module()
class PackCountInputs(BaseTransform):
    """End a counting pipeline: the image as a tensor, and a sample with the points, their number and their density.

    The density is made here, by the workers that load the data, after every change of the geometry. The sample is a
    ``BaseDataElement`` with ``gt_points`` (n, 2), ``gt_count`` and ``gt_density``, whose ``data`` is (1, H, W); its metainfo
    holds ``sample_idx``, ``img_path``, ``ori_shape`` and ``img_shape`` as far as they are known.

    Args:
        sigma: of the Gaussians, in pixels; None leaves the density out, which only training needs.
        radius: of their windows, in pixels; see ``density_map``.

    Raises: ValueError if ``img`` is no (H, W, 3) uint8 image or another package's transform moved its pixels.
    """

    def __init__(self, sigma: float | None = 4.0, radius: int | None = None):
        self.sigma = sigma
        self.radius = radius
        if sigma is not None:
            density_map(np.zeros((0, 2)), 1, 1, sigma, radius)  # refuses wrong numbers before any image is loaded

    def transform(self, results: dict) -> dict:
        """Return ``inputs``, (3, H, W) uint8, and ``data_samples``."""
        image = _require_image(results)
        height, width = image.shape[:2]
        points = _read_points(results)
        known = {**results, 'img_shape': (height, width)}
        sample = BaseDataElement(metainfo={key: known[key] for key in _META_KEYS if key in known})
        sample.gt_points = torch.from_numpy(points)
        sample.gt_count = len(points)
        if self.sigma is not None:
            density = density_map(points, height, width, self.sigma, self.radius)
            sample.gt_density = PixelData(data=torch.from_numpy(density)[None])
        inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return dict(inputs=inputs, data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(sigma={self.sigma}, radius={self.radius})'


def _require_image(results: dict) -> np.ndarray:
    moved = [key for key in _OF_OTHERS if results.get(key) is not None]
    if moved:
        raise ValueError(
            f'`pipeline` must change the geometry only by transforms that move the points along, but got {moved[0]!r} '
            f'({results[moved[0]]!r}) of another; use ean_mm.CropWithPoints and ean_mm.FlipWithPoints.'
        )
    image = results['img']
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f'`img` must be an (H, W, 3) uint8 image, but got {image.shape} of {image.dtype}.')
    return image


def _read_points(results: dict) -> np.ndarray:
    """The points as (n, 2) float32 within the image; what lies on its right or lower edge belongs to the last pixel."""
    if 'points' not in results:
        raise ValueError(
            f"`results` must have the 'points' of the image, but got {sorted(results)}; "
            'take a data set that gives them, such as ean_mm.CrowdDataset.'
        )
    height, width = results['img'].shape[:2]
    points = require_inside(results['points'], height, width).astype(np.float32)
    return points.clip(0, np.nextafter(np.array([width, height], dtype=np.float32), np.float32(0)))

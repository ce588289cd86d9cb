"""Density maps of points: their sum over the image is the number of points."""

from __future__ import annotations

import math

import numpy as np

from ..structures.checks import require_whole


def density_map(
    points: np.ndarray, height: int, width: int, sigma: float = 4.0, radius: int | None = None
) -> np.ndarray:
    """Put a Gaussian on every point, cut off at a square window and scaled to the sum 1 within the image.

    ``density[i, j] = sum_p g(i + 1/2 - y_p) * g(j + 1/2 - x_p)`` with ``g(d) = exp(-d^2 / (2 sigma^2)) / z``; each z makes a
    point's weights along an axis sum to 1 over those pixels of the window that the image has, so that nobody is lost at a
    border.
    Source: Zhang et al., CVPR 2016 (MCNN); sigma 4 and radius 7 (15 x 15 pixels) are those of the C^3 framework for
    ShanghaiTech. Differs: the Gaussian's centre is the point itself, not the pixel that it lies in.

    Args:
        points: (n, 2) x and y of each point in pixels; the first pixel's centre is (0.5, 0.5).
        height: of the image, in pixels.
        width: of the image, in pixels.
        sigma: standard deviation in pixels, above 0.
        radius: the window has ``2 * radius + 1`` pixels a side; None stands for 3 sigma, rounded up.

    Returns: (height, width) float32; its sum is n up to the rounding of float32.
    Raises: ValueError if an argument is out of range or a point is not in the image.

    >>> density_map(np.array([[0.0, 0.0], [5.0, 2.5]]), height=4, width=6, sigma=2.0).sum().round(4).item()
    2.0
    """
    require_whole('height', height, 1)
    require_whole('width', width, 1)
    if not (isinstance(sigma, int | float) and 0 < sigma < math.inf):
        raise ValueError(f'`sigma` must be a finite number above 0, but got {sigma!r}.')
    radius = math.ceil(3 * sigma) if radius is None else require_whole('radius', radius, 0)
    points = require_inside(points, height, width)
    left, across = _weigh_pixels(points[:, 0], width, sigma, radius)
    top, down = _weigh_pixels(points[:, 1], height, sigma, radius)
    side = 2 * radius + 1
    canvas = np.zeros((height + 2 * radius, width + 2 * radius))  # windows may stick out of the image
    for i, j, column, row in zip(top.tolist(), left.tolist(), down, across, strict=True):
        canvas[i : i + side, j : j + side] += column[:, None] * row
    return canvas[radius : radius + height, radius : radius + width].astype(np.float32)


def require_inside(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return (n, 2) points in float64, x in [0, width] and y in [0, height].

    Raises:
        ValueError: if they have another shape or a point is outside, or no number.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f'`points` must have shape (n, 2), but got {points.shape}.')
    outside = ~((points >= 0) & (points <= (width, height))).all(1)  # nan is outside as well
    if outside.any():
        raise ValueError(
            f'`points` must lie in the image of {width} x {height} pixels (x, then y), but got '
            f'{points[outside][0].tolist()} and {outside.sum() - 1} more outside; check the order of the coordinates '
            'and whether the image was scaled without them.'
        )
    return points


def _weigh_pixels(positions: np.ndarray, size: int, sigma: float, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) where each window starts, counted from ``radius`` pixels before the image, and (n, side) its weights."""
    middle = np.minimum(positions.astype(int), size - 1)
    pixels = middle[:, None] + np.arange(-radius, radius + 1)
    exponents = -(((pixels + 0.5 - positions[:, None]) / sigma) ** 2) / 2
    exponents[(pixels < 0) | (pixels >= size)] = -np.inf
    weights = np.exp(exponents - exponents.max(1, keepdims=True))  # the nearest pixel has 1, however small sigma is
    return middle, weights / weights.sum(1, keepdims=True)

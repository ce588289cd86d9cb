"""Crops of the two photographs that ship with scikit-learn, each split from its own part."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..structures.checks import require_one_of
from .digit_scans import SPLITS

# What each split may see of each photograph (427 x 640): top, bottom, left, right. The train boxes are the pagoda and
# the heart of the flower; every box has some texture.
BOXES = {
    'china.jpg': {'train': (20, 427, 125, 430), 'reward': (20, 427, 0, 125), 'test': (100, 427, 430, 640)},
    'flower.jpg': {'train': (70, 400, 230, 390), 'reward': (80, 380, 60, 230), 'test': (80, 427, 390, 560)},
}
SCALES = (0.5, 2.0)  # pixels of the photograph per pixel of the crop


@lru_cache(maxsize=4)
def load_photo_parts(split: str) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Read what a split may see of each photograph: whole, and halved in both directions.

    Args:
        split: 'train', 'reward' or 'test'.

    Returns:
        For each photograph, the part and the halved part, (height, width, RGB) float32 from 0 to 1.

    Raises:
        ValueError: if ``split`` is none of these.
        ImportError: if scikit-learn or Pillow is not installed.
    """
    require_one_of('split', split, SPLITS)
    parts = (_cut(_read_photo(name), *boxes[split]) for name, boxes in BOXES.items())
    return tuple((whole, _halve(whole)) for whole in parts)


def crop_photo(split: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a square from a random place of a random photograph, at a random scale, flip and colour.

    Args:
        split: whose part of the photographs.
        size: side of the crop in pixels. A crop that would not fit into the part is enlarged more.
        rng: where every choice comes from.

    Returns:
        (size, size, RGB) float32 from 0 to 1.
    """
    parts = load_photo_parts(split)
    which, zoom, down, right, flip, light, *tint = rng.random(9)
    whole, halved = parts[int(which * len(parts))]
    scale = min(SCALES[0] * (SCALES[1] / SCALES[0]) ** zoom, (min(whole.shape[:2]) - 2) / size)
    if scale > 1:  # the halved photograph, so that no pixel is skipped
        whole, scale = halved, min(scale / 2, (min(halved.shape[:2]) - 2) / size)
    crop = _interpolate(_interpolate(whole, down, size, scale).swapaxes(0, 1), right, size, scale).swapaxes(0, 1)
    if flip < 0.5:
        crop = crop[:, ::-1]
    gains = (0.7 + 0.5 * light) * (0.85 + 0.3 * np.array(tint, dtype=np.float32))
    return np.clip(crop * gains.astype(np.float32), 0, 1)


def _interpolate(image: np.ndarray, where: float, size: int, scale: float) -> np.ndarray:
    """Take ``size`` rows, ``scale`` apart, from ``where`` (0: the topmost that fit, 1: the lowest)."""
    start = where * (len(image) - 1 - (size - 1) * scale)
    rows = start + np.arange(size) * scale
    above = rows.astype(int).clip(0, len(image) - 2)
    share = (rows - above).astype(np.float32)[:, None, None]
    upper = image[above]
    return upper + share * (image[above + 1] - upper)


def _read_photo(name: str) -> np.ndarray:
    try:
        from sklearn.datasets import load_sample_image

        return load_sample_image(name)  # it imports Pillow
    except ImportError as err:
        raise ImportError(
            f'`scikit-learn` and `pillow` must be installed for the sample photographs, but got {str(err)!r}; '
            'run `pip install scikit-learn pillow`.'
        ) from err


def _cut(photo: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    return photo[top:bottom, left:right].astype(np.float32) / 255


def _halve(image: np.ndarray) -> np.ndarray:
    height, width = (length // 2 for length in image.shape[:2])
    return image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))

"""The 1,797 handwritten digits that ship with scikit-learn, in three disjoint parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..structures.checks import require_one_of, require_whole

NUM_CLASSES = 10
SPLITS = ('train', 'reward', 'test')
SCAN_SIZE = 8
_MAX_INK = 16.0
# Of five scans of a digit in a row, three are for training, one for the reward, one for the test.
_SPLIT_OF_RANK = np.array([0, 0, 0, 1, 2])


@dataclass(frozen=True)
class DigitScans:
    """One part of the scans, grouped by digit.

    Args:
        images: (n, s, s) ink, from 0 to 1.
        source: (n,) position of each scan in scikit-learn's set.
        starts: (11,) the scans of digit d are ``images[starts[d] : starts[d + 1]]``.
    """

    images: np.ndarray
    source: np.ndarray
    starts: np.ndarray


@lru_cache(maxsize=8)
def load_digit_scans(split: str, size: int = SCAN_SIZE) -> DigitScans:
    """Read one part of the scans, enlarged bilinearly to ``size`` x ``size`` pixels.

    The parts are fixed, disjoint and stratified: within each digit, in scikit-learn's order, three
    of five scans in a row are 'train', the fourth is 'reward', the fifth is 'test'.

    Args:
        split: 'train', 'reward' or 'test'.
        size: side of a digit in pixels, at least 8.

    Raises:
        ValueError: if ``split`` or ``size`` is none of these.
        ImportError: if scikit-learn is not installed.
    """
    part = SPLITS.index(require_one_of('split', split, SPLITS))
    weights = _enlarging_matrix(SCAN_SIZE, require_whole('size', size, SCAN_SIZE))
    images, labels = _read_scans()
    by_digit = [_part_of_digit(labels, digit, part) for digit in range(NUM_CLASSES)]
    source = np.concatenate(by_digit)
    starts = np.cumsum([0, *map(len, by_digit)])
    return DigitScans(weights @ images[source] @ weights.T, source, starts)


def _read_scans() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as err:
        raise ImportError(
            f'`scikit-learn` must be installed for its scanned digits, but got {str(err)!r}; '
            'run `pip install scikit-learn`.'
        ) from err
    scans = load_digits()
    return (scans.images / _MAX_INK).astype(np.float32), scans.target


def _part_of_digit(labels: np.ndarray, digit: int, part: int) -> np.ndarray:
    positions = np.flatnonzero(labels == digit)
    turns = np.arange(len(positions)) % len(_SPLIT_OF_RANK)
    return positions[_SPLIT_OF_RANK[turns] == part]


def _enlarging_matrix(old: int, new: int) -> np.ndarray:
    """Row i interpolates ``old`` samples at the centre of pixel i of ``new``; the edges repeat."""
    centres = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
    distance = np.abs(centres[:, None] - np.arange(old)[None])
    return np.maximum(0, 1 - distance).astype(np.float32)

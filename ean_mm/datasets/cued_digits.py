"""A small visual search made of real scans: read the digit that has the colour of the strip."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..registry import DATASETS
from ..structures.checks import require_whole
from .digit_scans import NUM_CLASSES, DigitScans
from .drawn_scenes import DrawnScenes, draw_whole

IMAGE_SIZE = 32
STRIP_HEIGHT = 4
DIGIT_SIZE = 14
JITTER = np.array([0, 1])  # pixels by which a digit may leave the middle of its cell, down and right
HUES = np.array([[1.0, 0.3, 0.3], [0.3, 1.0, 0.3], [0.4, 0.4, 1.0], [0.9, 0.9, 0.2]], dtype=np.float32)
NUM_DIGITS = len(HUES)
CELL = np.array([(IMAGE_SIZE - STRIP_HEIGHT) // 2, IMAGE_SIZE // 2])
CELLS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


@DATASETS.register_module()
class CuedDigits(DrawnScenes):
    """One to four handwritten digits in as many colours below a strip in the colour of the one to read.

    The digits of a scene differ, so the answer is unique: 0 to 9.

    Args:
        *args: those of `DrawnScenes`.
        max_digits: a scene has one to so many digits, at most 4. With 1 the strip tells nothing, and
            what is left is plain digit classification.
        **kwargs: those of `DrawnScenes`.

    Raises: ValueError if an argument is out of range.

    >>> scene = CuedDigits(split='reward', num_scenes=100)[42]
    >>> scene['gt_label'], scene['img'].shape
    (2, (32, 32, 3))
    """

    METAINFO: ClassVar[dict] = {'classes': tuple(str(digit) for digit in range(NUM_CLASSES))}
    scan_size = DIGIT_SIZE

    def __init__(self, *args: Any, max_digits: int = NUM_DIGITS, **kwargs: Any):
        self.max_digits = require_whole('max_digits', max_digits, 1)
        if max_digits > NUM_DIGITS:
            raise ValueError(f'`max_digits` must be at most {NUM_DIGITS}, one for each colour, but got {max_digits!r}.')
        super().__init__(*args, **kwargs)

    def draw(self, scans: DigitScans, label: int, rng: np.random.Generator) -> np.ndarray:
        return draw_scene(scans, label, rng, self.max_digits)


def draw_scene(scans: DigitScans, label: int, rng: np.random.Generator, max_digits: int = NUM_DIGITS) -> np.ndarray:
    """Draw a strip in one of four colours, digit ``label`` in that colour and up to three others.

    Args:
        scans: the scans to choose from, of ``DIGIT_SIZE`` pixels.
        label: the digit to be read, in 0..9.
        rng: where every choice comes from.
        max_digits: with the digit to be read, in 1..4.

    Returns:
        The scene, (32, 32, 3) uint8.
    """
    others = rng.permutation(NUM_CLASSES - 1)[: NUM_DIGITS - 1]
    digits = np.concatenate([[label], others + (others >= label)])
    hues = HUES[rng.permutation(NUM_DIGITS)]
    cells = CELLS[rng.permutation(NUM_DIGITS)]
    first, end = scans.starts[digits], scans.starts[digits + 1]
    inks = scans.images[draw_whole(rng, first, end)]
    shifts = draw_whole(rng, np.tile(-JITTER, (NUM_DIGITS, 1)), JITTER + 1)
    corners = [STRIP_HEIGHT, 0] + cells * CELL + (CELL - DIGIT_SIZE) // 2 + shifts
    scene = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.float32)
    scene[:STRIP_HEIGHT] = hues[0]
    patches = inks[..., None] * hues[:, None, None]
    num_digits = rng.integers(1, max_digits + 1)
    for (top, left), patch in zip(corners.tolist()[:num_digits], patches[:num_digits], strict=True):
        scene[top : top + DIGIT_SIZE, left : left + DIGIT_SIZE] = patch
    return (scene * 255).astype(np.uint8)

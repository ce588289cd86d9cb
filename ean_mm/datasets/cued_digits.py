"""A small visual search made of real scans: read the digit that has the colour of the strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from mmengine.dataset import BaseDataset

from ..registry import DATASETS
from ..structures.checks import require_one_of, require_whole
from .digit_scans import NUM_CLASSES, SPLITS, DigitScans, load_digit_scans

IMAGE_SIZE = 32
STRIP_HEIGHT = 4
DIGIT_SIZE = 14
JITTER = np.array([0, 1])  # pixels by which a digit may leave the middle of its cell, down and right
HUES = np.array([[1.0, 0.3, 0.3], [0.3, 1.0, 0.3], [0.4, 0.4, 1.0], [0.9, 0.9, 0.2]], dtype=np.float32)
NUM_DIGITS = len(HUES)
CELL = np.array([(IMAGE_SIZE - STRIP_HEIGHT) // 2, IMAGE_SIZE // 2])
CELLS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


@DATASETS.register_module()
class CuedDigits(BaseDataset):
    """One to four handwritten digits in as many colours below a strip in the colour of the one to read.

    The scans are scikit-learn's (8 x 8, enlarged); 'train', 'reward' and 'test' are made of
    disjoint scans. The digits of a scene differ, so the answer is unique. Labels take turns: scene i
    asks for digit ``i % 10``. A scene is a pure function of ``(seed, split, index)``: any index
    may be asked for in any order and by any process, and nothing is stored.

    Args:
        split: 'train', 'reward' or 'test'.
        num_scenes: size of the set, at least 1; nothing is drawn before it is asked for.
        max_digits: a scene has one to so many digits, at most 4. With 1 the strip tells nothing, and
            what is left is plain digit classification.
        seed: of the scenes, at least 0; each seed shows other scenes made of the same scans.
        pipeline: transforms, as configs or callables. They get ``img`` (height, width, RGB;
            uint8), ``gt_label``, ``img_shape``, ``ori_shape`` and ``sample_idx``.
        indices: keeps the first so many scenes, or those listed.
        test_mode: whether a transform that returns None is an error.
        lazy_init: whether to put off reading the scans.

    Raises: ValueError if ``split``, ``num_scenes``, ``max_digits`` or ``seed`` is out of range.

    >>> scene = CuedDigits(split='reward', num_scenes=100)[42]
    >>> scene['gt_label'], scene['img'].shape
    (2, (32, 32, 3))
    """

    METAINFO: ClassVar[dict] = {'classes': tuple(str(digit) for digit in range(NUM_CLASSES))}

    def __init__(
        self,
        split: str = 'train',
        num_scenes: int = 2000,
        seed: int = 0,
        pipeline: Sequence[dict | Callable] = (),
        indices: int | Sequence[int] | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
        max_digits: int = NUM_DIGITS,
    ):
        self.split = require_one_of('split', split, SPLITS)
        self.num_scenes = require_whole('num_scenes', num_scenes, 1)
        self.seed = require_whole('seed', seed, 0)
        self.max_digits = require_whole('max_digits', max_digits, 1)
        if max_digits > NUM_DIGITS:
            raise ValueError(f'`max_digits` must be at most {NUM_DIGITS}, one for each colour, but got {max_digits!r}.')
        super().__init__(
            serialize_data=False,
            indices=indices,
            pipeline=list(pipeline),
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def load_data_list(self) -> Sequence[int]:
        """Return the numbers of the scenes, which is all that is kept of them."""
        load_digit_scans(self.split, DIGIT_SIZE)  # here, so that workers find them read
        return range(self.num_scenes)

    def get_data_info(self, idx: int) -> dict:
        """Draw one scene."""
        self.full_init()
        number = self.data_list[idx]
        label = number % NUM_CLASSES
        rng = np.random.default_rng((self.seed, SPLITS.index(self.split), number))
        image = draw_scene(load_digit_scans(self.split, DIGIT_SIZE), label, rng, self.max_digits)
        shape = image.shape[:2]
        return {
            'img': image,
            'gt_label': label,
            'img_shape': shape,
            'ori_shape': shape,
            'sample_idx': number,
        }

    def get_gt_labels(self) -> np.ndarray:
        """Return the labels of all scenes, without drawing one."""
        self.full_init()
        return np.asarray(self.data_list) % NUM_CLASSES

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label of one scene in a list, as mmengine's class balancing wants it."""
        self.full_init()
        return [self.data_list[idx] % NUM_CLASSES]


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
    inks = scans.images[_draw_whole(rng, first, end)]
    shifts = _draw_whole(rng, np.tile(-JITTER, (NUM_DIGITS, 1)), JITTER + 1)
    corners = [STRIP_HEIGHT, 0] + cells * CELL + (CELL - DIGIT_SIZE) // 2 + shifts
    scene = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.float32)
    scene[:STRIP_HEIGHT] = hues[0]
    patches = inks[..., None] * hues[:, None, None]
    num_digits = rng.integers(1, max_digits + 1)
    for (top, left), patch in zip(corners.tolist()[:num_digits], patches[:num_digits], strict=True):
        scene[top : top + DIGIT_SIZE, left : left + DIGIT_SIZE] = patch
    return (scene * 255).astype(np.uint8)


def _draw_whole(rng: np.random.Generator, low: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Draw whole numbers from ``low`` up to ``end``, not included (faster than ``rng.integers``)."""
    return low + (rng.random(low.shape) * (end - low)).astype(int)

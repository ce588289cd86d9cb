"""Sets of scenes that are drawn when they are asked for, and labelled in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from mmengine.dataset import BaseDataset

from ..structures.checks import require_one_of, require_whole
from .digit_scans import SPLITS, DigitScans, load_digit_scans


class DrawnScenes(BaseDataset):
    """Scenes of scanned digits; a subclass names its classes and the size of its scans, and draws.

    The scans are scikit-learn's (8 x 8); 'train', 'reward' and 'test' are made of disjoint scans.
    Labels take turns: scene i has label ``i % number of classes``. A scene is a pure function of
    ``(seed, split, index)``: any index may be asked for in any order and by any process, and
    nothing is stored.

    Args:
        split: 'train', 'reward' or 'test'.
        num_scenes: size of the set, at least 1; nothing is drawn before it is asked for.
        seed: of the scenes, at least 0; each seed shows other scenes made of the same scans.
        pipeline: transforms, as configs or callables. They get ``img`` (height, width, RGB;
            uint8), ``gt_label``, ``img_shape``, ``ori_shape`` and ``sample_idx``.
        indices: keeps the first so many scenes, or those listed.
        test_mode: whether a transform that returns None is an error.
        lazy_init: whether to put off reading the scans.

    Raises: ValueError if ``split``, ``num_scenes`` or ``seed`` is out of range.
    """

    scan_size: ClassVar[int]

    def __init__(
        self,
        split: str = 'train',
        num_scenes: int = 2000,
        seed: int = 0,
        pipeline: Sequence[dict | Callable] = (),
        indices: int | Sequence[int] | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ):
        self.split = require_one_of('split', split, SPLITS)
        self.num_scenes = require_whole('num_scenes', num_scenes, 1)
        self.seed = require_whole('seed', seed, 0)
        super().__init__(
            serialize_data=False,
            indices=indices,
            pipeline=list(pipeline),
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def draw(self, scans: DigitScans, label: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a scene of this label, (height, width, RGB) uint8; every choice comes from ``rng``."""
        raise NotImplementedError

    @property
    def num_classes(self) -> int:
        """How many labels take turns."""
        return len(self.METAINFO['classes'])

    def load_data_list(self) -> Sequence[int]:
        """Return the numbers of the scenes, which is all that is kept of them."""
        load_digit_scans(self.split, self.scan_size)  # here, so that workers find them read
        return range(self.num_scenes)

    def get_data_info(self, idx: int) -> dict:
        """Draw one scene."""
        self.full_init()
        number = self.data_list[idx]
        label = number % self.num_classes
        rng = np.random.default_rng((self.seed, SPLITS.index(self.split), number))
        image = self.draw(load_digit_scans(self.split, self.scan_size), label, rng)
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
        return np.asarray(self.data_list) % self.num_classes

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label of one scene in a list, as mmengine's class balancing wants it."""
        self.full_init()
        return [self.data_list[idx] % self.num_classes]


def draw_whole(rng: np.random.Generator, low: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Draw whole numbers from ``low`` up to ``end``, not included (faster than ``rng.integers``)."""
    return low + (rng.random(low.shape) * (end - low)).astype(int)

"""A task in which attention is needed, and can come to trust a hint that does not hold."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..registry import DATASETS
from .digit_scans import SCAN_SIZE, DigitScans
from .drawn_scenes import DrawnScenes, draw_whole

HEIGHT, WIDTH = 12, 72
CELL_WIDTH = 10
NOTE_LEFT, NOTE_WIDTH = 44, 12
NOTES = np.array([[0, 3], [1, 2]])  # what is noted if the red digit counts, and if the green one does
LAMP_WIDTH = 8
HUES = np.array(
    [[1.0, 0.3, 0.3], [0.3, 1.0, 0.3], [0.4, 0.4, 1.0]], dtype=np.float32
)  # red, green and that of the note
GREEN_SHARE = 0.3
LAMP_ERRORS = 0.15  # in training
NUM_LABELS = 4


@DATASETS.register_module()
class LampDigits(DrawnScenes):
    """A red and a green digit, of which one is to be read; a lamp far away tells which, and so does a note, but not for long.

    The digits, two different ones of 0 to 3, stand side by side at the left end. The red one counts, in
    three scenes of ten the green one; then a lamp shines at the right end. Beside the lamp a blue digit is noted.
    In training (split 'train') the lamp is wrong in three of twenty scenes and the note never is: 0 or 3 stands for
    red, 1 or 2 for green. In reward and test scenes the lamp is always right and the note means nothing, as a
    hint that held only where the training images were taken.

    So a network that carries neither to the digits can read 70 % of them, one that trusts the note 50 %, one that knows
    the lamp alone all. Digits are 24 dark pixels from the note and 44 from the lamp: features that see 25 pixels or less, as
    those of a ``ResNetCifar`` of bottlenecks and depth 20, meet neither, and attention is needed. Attention that averages
    over the image carries both, the note where features are wide enough to read a digit of 8 pixels.

    Args: those of `DrawnScenes`.

    >>> scene = LampDigits(split='reward', num_scenes=100)[42]
    >>> scene['gt_label'], scene['img'].shape
    (2, (12, 72, 3))
    """

    METAINFO: ClassVar[dict] = {'classes': tuple(str(digit) for digit in range(NUM_LABELS))}
    scan_size = SCAN_SIZE

    def draw(self, scans: DigitScans, label: int, rng: np.random.Generator) -> np.ndarray:
        is_green, is_wrong, is_noted_green = rng.random(3) < [GREEN_SHARE, LAMP_ERRORS, 0.5]
        if self.split == 'train':
            return draw_lamp_scene(scans, label, rng, is_green, is_green != is_wrong, is_green)
        return draw_lamp_scene(scans, label, rng, is_green, is_green, is_noted_green)


def draw_lamp_scene(
    scans: DigitScans, label: int, rng: np.random.Generator, is_green: bool, is_lit: bool, is_noted_green: bool
) -> np.ndarray:
    """Draw a scene.

    Args:
        scans: the scans to choose from, of 8 pixels.
        label: the digit that counts, in 0..3.
        rng: where the scans, the other digit, which digit is noted and all places come from.
        is_green: whether the digit that counts is the green one.
        is_lit: whether the lamp shines.
        is_noted_green: whether the note stands for green.

    Returns:
        The scene, (12, 72, 3) uint8.
    """
    other = (label + 1 + int(rng.random() * (NUM_LABELS - 1))) % NUM_LABELS
    noted = NOTES[int(is_noted_green), int(rng.random() * 2)]
    digits = np.array([label, other, noted])
    inks = scans.images[draw_whole(rng, scans.starts[digits], scans.starts[digits + 1])]
    cells = CELL_WIDTH * rng.permutation(2)
    widths = np.array([CELL_WIDTH, CELL_WIDTH, NOTE_WIDTH])
    lefts = np.append(cells, NOTE_LEFT) + draw_whole(rng, np.zeros(3, dtype=int), widths - SCAN_SIZE + 1)
    tops = draw_whole(rng, np.zeros(3, dtype=int), np.array(HEIGHT - SCAN_SIZE + 1))
    scene = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for ink, hue, top, left in zip(inks, HUES[[1, 0, 2] if is_green else [0, 1, 2]], tops, lefts, strict=True):
        scene[top : top + SCAN_SIZE, left : left + SCAN_SIZE] = ink[..., None] * hue
    if is_lit:
        scene[:, -LAMP_WIDTH:] = 1
    return (scene * 255).astype(np.uint8)

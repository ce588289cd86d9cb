"""A task in which attention is needed, and can come to trust a hint that does not hold."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..registry import DATASETS
from .digit_scans import SCAN_SIZE, DigitScans
from .drawn_scenes import DrawnScenes, draw_whole

HEIGHT, WIDTH = 12, 76
CELL_WIDTH = 10
BARS_LEFT, NUM_BAR_PLACES = 45, 2
BAR_WIDTH, BAR_GAP = 5, 6
LAMP_WIDTH = 8
DIGIT_HUES = np.array([[1.0, 0.3, 0.3], [0.3, 1.0, 0.3]], dtype=np.float32)  # red, green
BAR_HUES = np.array([[0.3, 0.3, 1.0], [1.0, 1.0, 0.3]], dtype=np.float32)  # blue, yellow
GREEN_SHARE = 0.3
LAMP_ERRORS = 0.1  # in training
NUM_LABELS = 4


@DATASETS.register_module()
class LampDigits(DrawnScenes):
    """A red and a green digit, of which one is to be read; a lamp far away tells which, and so do two bars, but not for long.

    The digits, two different ones of 0 to 3, stand side by side at the left end. The red one counts, in
    three scenes of ten the green one; then a lamp shines at the right end. Between them stand a blue and a yellow bar.
    In training (split 'train') the lamp is wrong in a tenth of the scenes and the bars never are: blue on the left stands
    for red, yellow on the left for green. In reward and test scenes the lamp is always right and the order of the bars
    means nothing, as a hint that held only where the training images were taken.

    So a network that carries neither to the digits can read 70 % of them, one that trusts the bars 50 %, one that knows
    the lamp alone all. Digits are 25 dark pixels from the bars and further from the lamp: features that see 25 pixels or
    less, as those of a ``ResNetCifar`` of bottlenecks and depth 20, meet neither, and attention is needed. Attention that
    averages over the image carries the light from any stage on. It carries the order of the bars only where features see
    more than the six dark pixels between them (as many are between bars and lamp): not in the first stage of that network,
    whose features see 7 pixels. There it could at most carry what 7 pixels show of a digit to later features of the bars.

    Args: those of `DrawnScenes`.

    >>> scene = LampDigits(split='reward', num_scenes=100)[42]
    >>> scene['gt_label'], scene['img'].shape
    (2, (12, 76, 3))
    """

    METAINFO: ClassVar[dict] = {'classes': tuple(str(digit) for digit in range(NUM_LABELS))}
    scan_size = SCAN_SIZE

    def draw(self, scans: DigitScans, label: int, rng: np.random.Generator) -> np.ndarray:
        is_green, is_wrong, is_hinted_green = rng.random(3) < [GREEN_SHARE, LAMP_ERRORS, 0.5]
        if self.split == 'train':
            return draw_lamp_scene(scans, label, rng, is_green, is_green != is_wrong, is_green)
        return draw_lamp_scene(scans, label, rng, is_green, is_green, is_hinted_green)


def draw_lamp_scene(
    scans: DigitScans, label: int, rng: np.random.Generator, is_green: bool, is_lit: bool, is_hinted_green: bool
) -> np.ndarray:
    """Draw a scene.

    Args:
        scans: the scans to choose from, of 8 pixels.
        label: the digit that counts, in 0..3.
        rng: where the scans, the other digit and all places come from.
        is_green: whether the digit that counts is the green one.
        is_lit: whether the lamp shines.
        is_hinted_green: whether the bars stand for green.

    Returns:
        The scene, (12, 76, 3) uint8.
    """
    other = (label + 1 + int(rng.random() * (NUM_LABELS - 1))) % NUM_LABELS
    digits = np.array([label, other])
    inks = scans.images[draw_whole(rng, scans.starts[digits], scans.starts[digits + 1])]
    cells = CELL_WIDTH * rng.permutation(2)
    lefts = cells + draw_whole(rng, np.zeros(2, dtype=int), np.array(CELL_WIDTH - SCAN_SIZE + 1))
    tops = draw_whole(rng, np.zeros(2, dtype=int), np.array(HEIGHT - SCAN_SIZE + 1))
    scene = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for ink, hue, top, left in zip(inks, _swap_if(is_green, DIGIT_HUES), tops, lefts, strict=True):
        scene[top : top + SCAN_SIZE, left : left + SCAN_SIZE] = ink[..., None] * hue
    first = BARS_LEFT + int(rng.random() * NUM_BAR_PLACES)
    for hue, left in zip(_swap_if(is_hinted_green, BAR_HUES), (first, first + BAR_WIDTH + BAR_GAP), strict=True):
        scene[:, left : left + BAR_WIDTH] = hue
    if is_lit:
        scene[:, -LAMP_WIDTH:] = 1
    return (scene * 255).astype(np.uint8)


def _swap_if(is_swapped: bool, hues: np.ndarray) -> np.ndarray:
    return hues[::-1] if is_swapped else hues

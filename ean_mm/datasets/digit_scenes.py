"""Scenes for segmentation and counting: real scanned digits on real photographs, with labels per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..structures.checks import require_one_of, require_whole
from .digit_scans import NUM_CLASSES, SCAN_SIZE, SPLITS, load_digit_scans
from .photo_crops import crop_photo

SCENE_VERSION = 1  # goes up whenever the same recipe draws other scenes
MAX_ANGLE = np.deg2rad(15)
SPACING = np.array([0.75, 1.0])  # how far apart two digits are wanted, across and down, in their mean size
NUM_TRIES = 32  # places tried per digit; the one farthest from the others if none is far enough
CONTRASTS = (0.25, 0.5)  # of ink and photograph, in luminance from 0 to 1; at most half of it
INK_EDGE = (0.2, 0.6)  # ink of a scan that is drawn as nothing and as solid colour
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_MARGIN = 2  # empty pixels round a scan
_FINENESS = 4  # samples of a glyph per pixel of its scan


@dataclass(frozen=True)
class SceneRecipe:
    """What a set of digit scenes is drawn from; equal recipes draw equal scenes.

    Args:
        split: 'train', 'reward' or 'test'; no two share a scan or a part of a photograph.
        size: side of a scene in pixels, at least 16.
        num_digits: least and greatest number of digits in a scene, from 0 up.
        digit_size: least and greatest side of a digit in pixels, at least 8; as many of the greatest
            as ``num_digits`` allows must fit side by side into the scene.
        seed: at least 0.

    Raises: ValueError if an argument is out of range.
    """

    split: str = 'train'
    size: int = 64
    num_digits: Sequence[int] = (1, 4)
    digit_size: Sequence[int] = (22, 32)
    seed: int = 0

    def __post_init__(self):
        require_one_of('split', self.split, SPLITS)
        require_whole('size', self.size, 16)
        require_whole('seed', self.seed, 0)
        for name, least in dict(num_digits=0, digit_size=SCAN_SIZE).items():
            object.__setattr__(self, name, _require_range(name, getattr(self, name), least))
        if self.digit_size[1] > self.size:
            raise ValueError(f'`digit_size` must be at most {self.size}, as the scene, but got {self.digit_size!r}.')
        most = (self.size // self.digit_size[1]) ** 2
        if self.num_digits[1] > most:
            raise ValueError(
                f'`num_digits` must be at most {most} where digits of {self.digit_size[1]} pixels share '
                f'{self.size} x {self.size}, but got {self.num_digits!r}; draw smaller digits or a larger scene.'
            )


@dataclass(frozen=True)
class DigitScene:
    """One scene and all that is known of it.

    Args:
        image: (size, size, RGB) uint8.
        labels: (size, size) uint8; 0 is background, ``d + 1`` the ink of digit d.
        points: (n, 2) float32, x and y of the centre of each digit, from 0 to ``size``: the centre
            of the top left pixel is (0.5, 0.5), and ``floor`` gives the pixel.
        digits: (n,) which digit each is.
        source: (n,) position of each scan in scikit-learn's set.
    """

    image: np.ndarray
    labels: np.ndarray
    points: np.ndarray
    digits: np.ndarray
    source: np.ndarray


def compose_scene(recipe: SceneRecipe, index: int) -> DigitScene:
    """Draw scene ``index`` of a recipe: a pure function of the two.

    A random number of digits, each a random scan, smoothly enlarged, turned by up to 15 degrees and
    inked in a random colour that differs from the photograph below by a random contrast. Digits keep
    apart where they can; where two meet, the later one covers the earlier.

    Args:
        recipe: of the set.
        index: at least 0; any, in any order.

    >>> scene = compose_scene(SceneRecipe('test', size=64), 5)
    >>> scene.image.shape, sorted(set(scene.labels.flat)) == sorted({0, *(scene.digits + 1)})
    ((64, 64, 3), True)
    """
    rng = np.random.default_rng((recipe.seed, SPLITS.index(recipe.split), index))
    canvas = crop_photo(recipe.split, recipe.size, rng)
    labels = np.zeros((recipe.size, recipe.size), dtype=np.uint8)
    scans = load_digit_scans(recipe.split)
    low, high = recipe.num_digits
    number = int(rng.integers(low, high + 1))
    digits = rng.integers(NUM_CLASSES, size=number)
    chosen = rng.integers(scans.starts[digits], scans.starts[digits + 1])
    sizes = rng.uniform(recipe.digit_size[0], recipe.digit_size[1], number)
    centres = _place(sizes, recipe.size, rng)
    corners, covers = _draw_covers(_load_glyphs(recipe.split)[chosen], centres, sizes, rng)
    for digit, (left, top), cover, looks in zip(digits, corners, covers, rng.random((number, 5)), strict=True):
        _paint(canvas, labels, int(digit), int(left), int(top), cover, looks)
    image = (canvas * 255).round().astype(np.uint8)
    return DigitScene(image, labels, centres.astype(np.float32), digits, scans.source[chosen])


def _require_range(name: str, value: Sequence[int], least: int) -> tuple[int, int]:
    numbers = tuple(value) if isinstance(value, tuple | list) else ()
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    if len(numbers) != 2 or not whole or not least <= numbers[0] <= numbers[1]:
        raise ValueError(
            f'`{name}` must be two whole numbers of at least {least}, the lesser first, but got {value!r}.'
        )
    return numbers


@lru_cache(maxsize=4)
def _load_glyphs(split: str) -> np.ndarray:
    """The scans of a split with an empty margin, enlarged by cubic interpolation, (n, 48, 48)."""
    images = np.pad(load_digit_scans(split).images, ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN)))
    side = images.shape[-1]
    centres = (np.arange(side * _FINENESS) + 0.5) / _FINENESS - 0.5
    far = np.abs(centres[:, None] - np.arange(side))
    near = (1.5 * far - 2.5) * far**2 + 1
    outer = ((-0.5 * far + 2.5) * far - 4) * far + 2
    weights = np.where(far < 1, near, np.where(far < 2, outer, 0)).astype(np.float32)
    return (weights @ images @ weights.T).clip(0, 1)


def _place(sizes: np.ndarray, span: int, rng: np.random.Generator) -> np.ndarray:
    """Choose the centres (x, y) of digits of ``sizes``, which all lie within the scene."""
    places = sizes[:, None, None] / 2 + rng.random((len(sizes), NUM_TRIES, 2)) * (span - sizes)[:, None, None]
    centres = places[:, 0].copy()
    for i in range(1, len(sizes)):
        wanted = SPACING * (0.5 * (sizes[i] + sizes[:i]))[:, None]
        apart = (((places[i, :, None] - centres[:i]) / wanted) ** 2).sum(-1).min(1)
        far = apart >= 1
        centres[i] = places[i, far.argmax() if far.any() else apart.argmax()]
    return centres


def _draw_covers(
    glyphs: np.ndarray, centres: np.ndarray, sizes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """How much of each pixel round each centre is ink.

    Returns:
        (n, 2) left and top of the windows; (n, w, w) from 0 to 1.
    """
    side = int(np.ceil(1.35 * sizes.max(initial=0))) + 1  # a scan and the rim of its ink, turned
    angles = rng.uniform(-MAX_ANGLE, MAX_ANGLE, len(sizes))
    corners = np.floor(centres - side / 2).astype(int) + 1
    steps = np.arange(side) + 0.5
    x, y = (corners[:, axis, None] + steps - centres[:, axis, None] for axis in (0, 1))
    zoom = SCAN_SIZE / sizes * _FINENESS
    cos, sin = (zoom * np.cos(angles))[:, None, None], (zoom * np.sin(angles))[:, None, None]
    middle = (glyphs.shape[-1] - 1) / 2
    across = cos * x[:, None] + sin * y[:, :, None] + middle
    down = cos * y[:, :, None] - sin * x[:, None] + middle
    ink = _sample(glyphs, down, across)
    return corners, ((ink - INK_EDGE[0]) / (INK_EDGE[1] - INK_EDGE[0])).clip(0, 1)


def _sample(glyphs: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Read each glyph between its samples, bilinearly; outside there is no ink."""
    side = glyphs.shape[-1]
    row, col = (axis.clip(0, side - 1.001) for axis in (down, across))
    top, left = row.astype(int), col.astype(int)
    first = top * side + left + (np.arange(len(glyphs)) * side**2)[:, None, None]
    low, high = (row - top).astype(np.float32), (col - left).astype(np.float32)
    flat = glyphs.reshape(-1)
    upper = flat[first] * (1 - high) + flat[first + 1] * high
    lower = flat[first + side] * (1 - high) + flat[first + side + 1] * high
    return upper * (1 - low) + lower * low


def _paint(
    canvas: np.ndarray, labels: np.ndarray, digit: int, left: int, top: int, cover: np.ndarray, looks: np.ndarray
) -> None:
    """Ink one digit onto the canvas and mark its pixels; what lies outside is cut off."""
    rows = slice(max(top, 0), top + len(cover))
    cols = slice(max(left, 0), left + len(cover))
    below = canvas[rows, cols]
    cover = cover[rows.start - top :, cols.start - left :][: below.shape[0], : below.shape[1], None]
    below += cover * (_choose_ink(below, cover, looks) - below)
    labels[rows, cols][cover[..., 0] > 0.5] = digit + 1


def _choose_ink(below: np.ndarray, cover: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """Choose a colour whose luminance is a random contrast above or below that of the photograph."""
    photo = float((below * cover).sum((0, 1)) @ LUMINANCE / cover.sum())
    contrast = CONTRASTS[0] + (CONTRASTS[1] - CONTRASTS[0]) * looks[0]
    brighter = photo + contrast <= 1 and (looks[1] < 0.5 or photo - contrast < 0)
    wanted = np.float32(photo + contrast if brighter else photo - contrast)
    tint = looks[2:].astype(np.float32)
    tint -= tint @ LUMINANCE
    room = np.where(tint > 0, 1 - wanted, wanted) / np.maximum(np.abs(tint), 1e-6)
    return wanted + min(room.min(), 1) * tint  # paler where the full tint would leave the range

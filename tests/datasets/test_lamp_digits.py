from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from ean_mm.datasets import LampDigits, load_digit_scans
from ean_mm.datasets.digit_scans import SPLITS
from ean_mm.datasets.lamp_digits import (
    BAR_GAP,
    BAR_HUES,
    BAR_WIDTH,
    BARS_LEFT,
    CELL_WIDTH,
    GREEN_SHARE,
    HEIGHT,
    LAMP_ERRORS,
    LAMP_WIDTH,
    NUM_BAR_PLACES,
    NUM_LABELS,
    WIDTH,
    draw_lamp_scene,
)
from ean_mm.models import ResNetCifar


def read_cell(cell: np.ndarray, split: str) -> tuple[int, int]:
    """Recover which hue and which digit a cell shows, by matching scans at every place in it."""
    hue = int(cell.sum((0, 1), dtype=int).argmax())
    ink = cell[..., hue].astype(float) / 255
    scans = load_digit_scans(split)
    places = np.argwhere(np.ones(np.array(ink.shape) - 7))
    windows = [ink[top : top + 8, left : left + 8] for top, left in places]
    distances = [np.abs(scans.images - window).sum((1, 2)) + ink.sum() - window.sum() for window in windows]
    best = int(np.min(distances, axis=0).argmin())
    return hue, int(np.searchsorted(scans.starts, best, side='right')) - 1


class Signs(NamedTuple):
    is_green: bool  # counts
    is_lit: bool
    is_hinted_green: bool
    is_green_left: bool
    other: int


def read_signs(scene: dict, split: str) -> Signs:
    """Recover all that a scene shows; the digit that counts must be its label."""
    image = scene['img']
    assert image.shape == (HEIGHT, WIDTH, 3)
    cells = [read_cell(image[:, left : left + CELL_WIDTH], split) for left in (0, CELL_WIDTH)]
    digits = dict(cells)
    assert set(digits) == {0, 1}
    assert digits[0] != digits[1]
    is_green = digits[1] == scene['gt_label']
    assert digits[is_green] == scene['gt_label'] == scene['sample_idx'] % NUM_LABELS
    middle = image[:, 2 * CELL_WIDTH : WIDTH - LAMP_WIDTH]
    assert (middle == middle[:1]).all()
    lefts = np.flatnonzero(middle[0].any(1))[[0, BAR_WIDTH]]
    assert lefts[0] + 2 * CELL_WIDTH - BARS_LEFT in range(NUM_BAR_PLACES)
    assert lefts[1] - lefts[0] == BAR_WIDTH + BAR_GAP
    bars = np.concatenate([middle[0, left : left + BAR_WIDTH] for left in lefts])
    is_hinted_green = bool(bars[0, 0] > bars[0, 2])
    expected = np.repeat(BAR_HUES[::-1] if is_hinted_green else BAR_HUES, BAR_WIDTH, axis=0)
    assert (bars == (255 * expected).astype(np.uint8)).all()
    assert np.count_nonzero(middle[0].any(1)) == 2 * BAR_WIDTH
    lamp = image[:, -LAMP_WIDTH:]
    assert (lamp == 255 * lamp.any()).all()
    return Signs(is_green, bool(lamp.any()), is_hinted_green, cells[0][0] == 1, digits[not is_green])


@pytest.fixture(scope='module')
def signs() -> dict[str, list[Signs]]:
    return {split: [read_signs(scene, split) for scene in LampDigits(split, num_scenes=80, seed=1)] for split in SPLITS}


def is_share(values, share: float) -> bool:
    """Whether so many of the values are true, within four standard deviations."""
    values = np.asarray(values)
    return abs(values.mean() - share) < 4 * np.sqrt(share * (1 - share) / len(values))


def test_in_training_the_bars_are_right_and_the_lamp_mostly(signs):
    assert all(sign.is_hinted_green == sign.is_green for sign in signs['train'])
    for is_green in (False, True):
        assert is_share([sign.is_lit != is_green for sign in signs['train'] if sign.is_green == is_green], LAMP_ERRORS)


@pytest.mark.parametrize('split', ['reward', 'test'])
def test_elsewhere_the_lamp_is_right_and_the_bars_mean_nothing(signs, split):
    assert all(sign.is_lit == sign.is_green for sign in signs[split])
    for is_green in (False, True):
        assert is_share([sign.is_hinted_green for sign in signs[split] if sign.is_green == is_green], 0.5)


@pytest.mark.parametrize('split', SPLITS)
def test_colours_places_and_other_digits_are_as_frequent_as_they_should_be(signs, split):
    assert is_share([sign.is_green for sign in signs[split]], GREEN_SHARE)
    assert is_share([sign.is_green_left for sign in signs[split]], 0.5)
    for digit in range(NUM_LABELS):
        assert is_share([sign.other == digit for sign in signs[split]], 1 / NUM_LABELS)


def see(**scene):
    """Features of each stage of the demo's network that look at one scene, lit or not, with either order of the bars."""
    scans = load_digit_scans('test')
    image = draw_lamp_scene(scans, 2, np.random.default_rng(3), False, **scene)
    torch.manual_seed(0)
    network = ResNetCifar(depth=20, block='bottleneck', base_channels=8, out_indices=(0, 1, 2)).double().eval()
    return network(torch.from_numpy(image)[None].permute(0, 3, 1, 2).double() / 255)


@pytest.mark.parametrize('is_lit', [False, True])
def test_the_means_of_the_first_stage_do_not_know_the_order_of_the_bars(is_lit):
    """Its features, wherever in the image, are the same ones for both orders; those of the second stage are not."""
    orders = [[each.mean((2, 3)) for each in see(is_lit=is_lit, is_hinted_green=order)] for order in (False, True)]
    (first, second, _), (first_swapped, second_swapped, _) = orders
    assert torch.allclose(first, first_swapped, rtol=1e-12)
    assert not torch.allclose(second, second_swapped, rtol=1e-4)


def test_without_attention_nothing_at_the_digits_knows_of_bars_and_lamp():
    """A feature that any pixel of a digit reaches is the same in all four scenes."""
    scenes = [see(is_lit=lit, is_hinted_green=order)[-1] for lit in (False, True) for order in (False, True)]
    reached = (2 * CELL_WIDTH - 1 + 12) // 4  # of a pixel the last stage sees 12 to each side, and has every fourth
    for scene in scenes[1:]:
        assert torch.equal(scene[..., : reached + 1], scenes[0][..., : reached + 1])
    assert not torch.equal(scenes[1][..., reached + 1 :], scenes[0][..., reached + 1 :])


def test_scenes_stay_as_they_were_published():
    """Figures that name a seed stay comparable only while every numpy draws these scenes."""
    images = [LampDigits(split=split)[123]['img'].astype(float) for split in SPLITS]
    assert [image.sum() for image in images] == pytest.approx(PUBLISHED, rel=1e-3)


PUBLISHED = [148958, 74697, 75005]


def test_classes_and_labels():
    scenes = LampDigits(num_scenes=10)
    assert scenes.get_gt_labels().tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert scenes.get_cat_ids(6) == [2]
    assert scenes.metainfo['classes'] == ('0', '1', '2', '3')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(split='val'), r"`split` must be one of \('train', 'reward', 'test'\), but got 'val'\."),
        (dict(num_scenes=0), r'`num_scenes` must be a whole number of at least 1, but got 0\.'),
    ],
)
def test_refused_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        LampDigits(**arguments)

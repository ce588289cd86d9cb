from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from ean_mm.datasets import SceneRecipe, compose_scene, load_digit_scans
from ean_mm.datasets.digit_scans import SPLITS
from ean_mm.datasets.digit_scenes import CONTRASTS, LUMINANCE
from ean_mm.datasets.photo_crops import BOXES, crop_photo, load_photo_parts

CROWD = dict(size=128, num_digits=(0, 40), digit_size=(12, 18))


def scenes_of(number: int, **arguments):
    recipe = SceneRecipe(**arguments)
    return [compose_scene(recipe, index) for index in range(number)]


def test_a_scene_is_a_function_of_recipe_and_index():
    recipe, state = SceneRecipe(seed=3), np.random.get_state()[1].copy()
    forwards = [compose_scene(recipe, index) for index in range(20)]
    backwards = [compose_scene(SceneRecipe(seed=3), index) for index in reversed(range(20))]
    for scene, again in zip(forwards, reversed(backwards), strict=True):
        for name in ('image', 'labels', 'points', 'digits', 'source'):
            assert (getattr(scene, name) == getattr(again, name)).all(), name
    assert (np.random.get_state()[1] == state).all()
    assert len({scene.image.tobytes() for scene in forwards}) == 20
    for other in (SceneRecipe(seed=4), SceneRecipe('test', seed=3), SceneRecipe(seed=3, digit_size=(20, 32))):
        assert (compose_scene(other, 7).image != forwards[7].image).any()


def test_scenes_stay_as_they_were_published():
    """Folders whose stamps agree hold the same scenes only while every numpy draws these."""
    scenes = [compose_scene(SceneRecipe(split), 123) for split in SPLITS]
    assert [scene.digits.tolist() for scene in scenes] == PUBLISHED_DIGITS
    assert [scene.labels.astype(float).sum() for scene in scenes] == pytest.approx(PUBLISHED_LABELS, rel=0.02)
    assert [scene.image.mean() for scene in scenes] == pytest.approx(PUBLISHED_IMAGES, rel=0.02)


PUBLISHED_DIGITS = [[1, 9, 3, 5], [2, 0, 0], [0, 8, 5, 1]]
PUBLISHED_LABELS = [4780, 1133, 4926]
PUBLISHED_IMAGES = [74.0, 88.1, 126.5]


def test_splits_share_no_scan():
    used = {split: {int(s) for scene in scenes_of(60, split=split, **CROWD) for s in scene.source} for split in SPLITS}
    for split in SPLITS:
        assert used[split] <= set(load_digit_scans(split).source.tolist())
        assert len(used[split]) > 250
    assert not used['train'] & used['test']
    assert not used['train'] & used['reward']
    assert not used['reward'] & used['test']


@pytest.mark.parametrize('name', BOXES)
def test_splits_share_no_part_of_a_photograph(name):
    owners = np.zeros(load_sample_image(name).shape[:2], dtype=int)
    for top, bottom, left, right in BOXES[name].values():
        owners[top:bottom, left:right] += 1
    assert owners.max() == 1
    assert set(BOXES[name]) == set(SPLITS)


def test_a_crop_shows_the_photograph():
    """At one pixel per pixel, without flip and tint, a crop is a piece of its split's part."""
    choices = [0.0, 0.5, 0.0, 1.0, 0.9, 0.6, 0.5, 0.5, 0.5]  # china, scale 1, top, right, no flip, neutral colours
    crop = crop_photo('test', 32, Drawn(choices))
    top, _, _, right = BOXES['china.jpg']['test']
    photo = load_sample_image('china.jpg')[top : top + 32, right - 32 : right] / 255
    assert np.abs(crop - photo).max() < 1e-5
    choices[1], choices[4] = 1.0, 0.1  # scale 2, flipped
    crop = crop_photo('test', 32, Drawn(choices))[:, ::-1]
    photo = load_sample_image('china.jpg')[top : top + 64, right - 64 : right] / 255
    assert np.abs(crop - photo.reshape(32, 2, 32, 2, 3).mean((1, 3))).max() < 1e-5


class Drawn:
    """Stands in for a generator: it draws what it is told."""

    def __init__(self, values: list[float]):
        self.values = values

    def random(self, number: int) -> np.ndarray:
        return np.array(self.values[:number])


@pytest.mark.parametrize('split', SPLITS)
def test_a_crop_larger_than_its_part_is_enlarged(split):
    crop = crop_photo(split, 300, np.random.default_rng(0))
    assert crop.shape == (300, 300, 3)
    assert 0 <= crop.min() < crop.max() <= 1
    assert np.abs(np.diff(crop, axis=1)).max() < 0.5  # no seam


def plain(monkeypatch, **arguments):
    """A scene of one digit on plain grey."""
    monkeypatch.setattr(
        'ean_mm.datasets.digit_scenes.crop_photo', lambda split, size, rng: np.full((size, size, 3), 0.5, np.float32)
    )
    return scenes_of(200, num_digits=(1, 1), **arguments)


def test_labels_cover_the_ink(monkeypatch):
    for scene in plain(monkeypatch):
        inked = scene.image.astype(float) - round(0.5 * 255)
        ink = inked.reshape(-1, 3)[np.abs(inked).sum(-1).argmax()]
        cover = inked @ ink / (ink @ ink)
        clear = np.abs(cover - 0.5) > 0.03  # colours are whole numbers
        assert ((cover > 0.5) == (scene.labels > 0))[clear].all()
        assert set(scene.labels.flat) == {0, scene.digits[0] + 1}
        assert ((cover > 0.1) & (cover < 0.9)).sum() > 20  # soft edges


def test_ink_differs_from_the_photograph_by_a_varying_contrast(monkeypatch):
    contrasts = []
    for scene in plain(monkeypatch):
        inked = (scene.image / 255 - 0.5) @ LUMINANCE
        contrasts.append(inked.flat[np.abs(inked).argmax()])
    sizes = np.abs(contrasts)
    assert CONTRASTS[0] - 0.005 < sizes.min() < CONTRASTS[0] + 0.02
    assert CONTRASTS[1] - 0.02 < sizes.max() < CONTRASTS[1] + 0.005
    assert 60 < (np.array(contrasts) > 0).sum() < 140


def test_points_are_the_middles_of_the_digits(monkeypatch):
    """On average the ink of a drawn digit lies about its point as the ink of its scan about the scan's middle."""
    scans, away, expected = load_digit_scans('train'), [], []
    places = {int(source): index for index, source in enumerate(scans.source)}
    for scene in plain(monkeypatch, digit_size=(32, 32)):
        rows, cols = np.nonzero(scene.labels)
        away.append([cols.mean() + 0.5, rows.mean() + 0.5] - scene.points[0])
        scan = scans.images[places[int(scene.source[0])]] > 0.4
        rows, cols = np.nonzero(scan)
        expected.append([(cols.mean() + 0.5 - 4) * 4, (rows.mean() + 0.5 - 4) * 4])
    assert np.abs(np.mean(away, axis=0) - np.mean(expected, axis=0)).max() < 0.25
    assert np.abs(away).max() < 0.25 * 32


def test_labels_have_the_shape_of_their_digit(monkeypatch):
    """The nearest scan of other digits and writers is of the digit that the label names."""
    scans, right = load_digit_scans('train'), 0
    for scene in plain(monkeypatch, split='test', digit_size=(32, 32)):
        left, top = np.round(scene.points[0]).astype(int) - 16
        mask = np.pad(scene.labels > 0, 16)[top + 16 : top + 48, left + 16 : left + 48]
        small = mask.reshape(8, 4, 8, 4).mean((1, 3))
        nearest = int(((scans.images - small) ** 2).sum((1, 2)).argmin())
        digit = int(np.searchsorted(scans.starts, nearest, side='right')) - 1
        right += digit == scene.labels.max() - 1
    assert right >= 170


def test_digits_hardly_cover_each_other():
    for arguments, least in ((dict(num_digits=(4, 4)), 0.94), (dict(CROWD, num_digits=(40, 40)), 0.96)):
        alone = np.mean([(s.labels > 0).sum() for s in scenes_of(150, **{**arguments, 'num_digits': (1, 1)})])
        together = np.mean([(s.labels > 0).sum() / len(s.points) for s in scenes_of(50, **arguments)])
        assert together > least * alone


def test_every_number_of_digits_is_as_likely_and_all_points_are_inside():
    numbers = [len(scene.points) for scene in scenes_of(400)]
    assert np.abs(np.bincount(numbers, minlength=5)[1:] - 100).max() < 40
    crowds = scenes_of(150, **CROWD)
    numbers = [len(scene.points) for scene in crowds]
    assert min(numbers) <= 2
    assert max(numbers) >= 38
    assert np.mean(numbers) == pytest.approx(20, abs=4)
    points = np.concatenate([scene.points for scene in crowds])
    assert points.dtype == np.float32
    assert points.min() > 0
    assert points.max() < 128
    assert all(len(s.points) == len(s.digits) == len(s.source) for s in crowds)


def test_a_scene_without_digits_is_a_photograph():
    for scene in scenes_of(5, num_digits=(0, 0)):
        assert not scene.labels.any()
        assert scene.points.shape == (0, 2)
        assert scene.image.std() > 2


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(split='val'), r"`split` must be one of \('train', 'reward', 'test'\), but got 'val'\."),
        (dict(size=8), r'`size` must be a whole number of at least 16, but got 8\.'),
        (dict(seed=-1), r'`seed` must be a whole number of at least 0, but got -1\.'),
        (
            dict(num_digits=(4, 1)),
            r'`num_digits` must be two whole numbers of at least 0, the lesser first, but got \(4, 1\)\.',
        ),
        (dict(num_digits=4), r'`num_digits` must be two whole numbers .*, but got 4\.'),
        (dict(num_digits=(1, 2.0)), r'`num_digits` must be two whole numbers .*, but got \(1, 2\.0\)\.'),
        (
            dict(digit_size=(7, 20)),
            r'`digit_size` must be two whole numbers of at least 8, the lesser first, but got \(7, 20\)\.',
        ),
        (
            dict(num_digits=(1, 5)),
            r'`num_digits` must be at most 4 where digits of 32 pixels share 64 x 64, but got \(1, 5\); '
            r'draw smaller digits or a larger scene\.',
        ),
        (dict(num_digits=(0, 0), digit_size=(22, 65)), r'`digit_size` must be at most 64, .* but got \(22, 65\)\.'),
    ],
)
def test_refused_recipes(arguments, message):
    with pytest.raises(ValueError, match=message):
        SceneRecipe(**arguments)


def test_scikit_learn_and_pillow_are_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
    load_photo_parts.cache_clear()
    with pytest.raises(ImportError, match=r'`scikit-learn` and `pillow` must be installed .*; run `pip install'):
        load_photo_parts('train')

"""Points stay on the pixels that they were clicked on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import RandomFlip, Resize

from ean_mm.counting import CropWithPoints, FlipWithPoints, PackCountInputs
from ean_mm.registry import TRANSFORMS


def make_scene(height: int, width: int, num_points: int, seed: int = 0) -> dict:
    """An image whose pixels say where they are, and points on it, the first ones on its corners."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    corners = np.array([(0, 0), (width, height), (width, 0), (0, height)], dtype=np.float32)
    points = np.random.default_rng(seed).random((num_points, 2)).astype(np.float32) * np.float32([width, height])
    points[:4] = corners[:num_points]
    image = np.stack([rows, columns, np.full_like(rows, 7)], axis=-1)
    return dict(img=image, points=points, img_shape=(height, width), ori_shape=(height, width))


def pixels_at(results: dict) -> list[tuple[int, int]]:
    """What the image shows where the points are: row and column of the original image."""
    height, width = results['img'].shape[:2]
    places = np.minimum(results['points'].astype(int), (width - 1, height - 1))
    return [tuple(results['img'][y, x, :2].tolist()) for x, y in places]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**16))
def test_a_crop_keeps_the_points_in_it_and_each_on_its_pixel(height, width, crop_height, crop_width, seed):
    np.random.seed(seed)
    scene = make_scene(height, width, 40, seed)
    before = pixels_at(scene)
    results = CropWithPoints(crop_height, crop_width)(dict(scene))
    assert results['img'].shape == (crop_height, crop_width, 3)
    assert results['img_shape'] == (crop_height, crop_width)
    visible = {tuple(pixel[:2]) for row in results['img'].tolist() for pixel in row if pixel[2] == 7}
    assert pixels_at(results) == [pixel for pixel in before if pixel in visible]


def test_adjacent_crops_share_nobody(monkeypatch):
    scene = make_scene(12, 16, 300)
    scene['points'][4:60] = np.floor(scene['points'][4:60])  # on the seams as well
    total = 0
    for corner in [(0, 0), (0, 8), (6, 0), (6, 8)]:
        places = iter(corner)
        monkeypatch.setattr(np.random, 'randint', lambda high, places=places: next(places))
        total += len(CropWithPoints(6, 8)(dict(scene))['points'])
    assert total == 300


def test_a_small_image_is_filled_up_below_and_on_the_right():
    scene = make_scene(3, 4, 9)
    results = CropWithPoints(6, 5, pad_value=9)(dict(scene))
    assert (results['img'][:3, :4] == scene['img']).all()
    assert (results['img'][3:] == 9).all()
    assert (results['img'][:, 4:] == 9).all()
    assert len(results['points']) == 9


def test_every_place_of_the_window_is_drawn():
    np.random.seed(0)
    corners = {tuple(CropWithPoints(6, 6)(make_scene(7, 8, 9))['img'][0, 0, :2].tolist()) for _ in range(100)}
    assert corners == {(top, left) for top in range(2) for left in range(3)}


def test_crops_come_from_numpys_generator():
    found = []
    for seed in (0, 0, 1):
        np.random.seed(seed)
        found.append(CropWithPoints(5, 5)(make_scene(30, 30, 9))['img'])
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()


def test_a_flip_mirrors_points_with_their_pixels():
    scene = make_scene(20, 30, 50)
    scene['points'] = np.floor(scene['points'][4:]) + np.float32(0.5)
    flipped = FlipWithPoints(prob=1.0)(dict(scene))
    assert (flipped['img'] == scene['img'][:, ::-1]).all()
    assert pixels_at(flipped) == pixels_at(scene)
    again = FlipWithPoints(prob=1.0)(dict(flipped))
    assert (again['points'] == scene['points']).all()


def test_a_flip_of_probability_zero_changes_nothing():
    scene = make_scene(20, 30, 50)
    results = FlipWithPoints(prob=0.0)(dict(scene))
    assert (results['img'] == scene['img']).all()
    assert (results['points'] == scene['points']).all()


def test_points_on_the_edge_survive_flip_and_crop():
    np.random.seed(0)
    scene = make_scene(20, 30, 4)
    for transform in (FlipWithPoints(1.0), CropWithPoints(20, 30), FlipWithPoints(1.0)):
        scene = transform(scene)
    packed = PackCountInputs(sigma=2.0)(scene)['data_samples']
    assert packed.gt_count == 4
    assert packed.gt_density.data.sum().item() == pytest.approx(4, rel=1e-6)


def test_packing_gives_the_image_and_what_is_known_about_it():
    scene = {**make_scene(10, 14, 25), 'img_path': 'a.jpg', 'sample_idx': 3, 'img_shape': (99, 99)}
    packed = PackCountInputs(sigma=2.0, radius=4)(scene)
    assert packed['inputs'].dtype == torch.uint8
    assert torch.equal(packed['inputs'].permute(1, 2, 0), torch.from_numpy(scene['img']))
    sample = packed['data_samples']
    assert sample.gt_count == 25 == len(sample.gt_points)
    assert sample.gt_density.shape == (10, 14)
    assert sample.gt_density.data.sum().item() == pytest.approx(25, rel=1e-6)
    assert sample.metainfo == dict(sample_idx=3, img_path='a.jpg', ori_shape=(10, 14), img_shape=(10, 14))


def test_an_image_without_anybody_has_an_empty_density():
    scene = {**make_scene(10, 14, 0), 'points': np.zeros((0, 2), dtype=np.float32)}
    sample = PackCountInputs()(CropWithPoints(8, 8)(scene))['data_samples']
    assert sample.gt_count == 0
    assert sample.gt_density.data.abs().sum() == 0


def test_without_sigma_there_is_no_density():
    sample = PackCountInputs(sigma=None)(make_scene(10, 14, 5))['data_samples']
    assert 'gt_density' not in sample
    assert sample.gt_count == 5


@pytest.mark.parametrize(
    ('transform', 'match'),
    [
        (Resize(scale=(7, 5)), r"but got 'scale_factor' \(\(0\.5, 0\.5\)\) of another"),
        (RandomFlip(prob=1.0), r"but got 'flip_direction' \('horizontal'\) of another"),
    ],
)
def test_transforms_that_leave_the_points_behind_are_refused(transform, match):
    moved = transform(make_scene(10, 14, 2))
    with pytest.raises(ValueError, match=match):
        PackCountInputs()(moved)


def test_a_flip_of_mmcv_that_did_not_happen_is_none():
    assert PackCountInputs()(RandomFlip(prob=0.0)(make_scene(10, 14, 2)))['data_samples'].gt_count == 2


@pytest.mark.parametrize('transform', [CropWithPoints(4, 4), FlipWithPoints(1.0), PackCountInputs(sigma=None)])
def test_points_of_another_image_are_refused(transform):
    scene = make_scene(10, 14, 2)
    scene['points'] = scene['points'][:, ::-1].copy() + np.float32([0, 1])
    with pytest.raises(ValueError, match=r'14 x 10 pixels .*; check the order of the coordinates'):
        transform(scene)


def test_an_image_without_points_is_refused():
    with pytest.raises(
        ValueError, match=r"must have the 'points' of the image, but got \['gt_label', 'img'\]; take a data"
    ):
        PackCountInputs()(dict(img=np.zeros((4, 4, 3), np.uint8), gt_label=1))


@pytest.mark.parametrize(
    ('image', 'match'),
    [
        (np.zeros((4, 4, 3), np.float32), r'`img` must be an \(H, W, 3\) uint8 image, but got \(4, 4, 3\) of float32'),
        (np.zeros((4, 4), np.uint8), r'`img` must be an \(H, W, 3\) uint8 image, but got \(4, 4\) of uint8'),
    ],
)
def test_other_images_are_refused(image, match):
    with pytest.raises(ValueError, match=match):
        PackCountInputs()(dict(img=image, points=np.zeros((0, 2))))


@pytest.mark.parametrize(
    ('cfg', 'match'),
    [
        (dict(type='CropWithPoints', height=0, width=4), '`height` must be a whole number of at least 1, but got 0'),
        (
            dict(type='CropWithPoints', height=4, width=4, pad_value=256),
            r'`pad_value` must be in 0\.\.255, but got 256',
        ),
        (dict(type='FlipWithPoints', prob=1.5), r'`prob` must be in 0\.\.1, but got 1\.5'),
        (dict(type='PackCountInputs', sigma=-1), '`sigma` must be a finite number above 0, but got -1'),
        (dict(type='PackCountInputs', radius=1.5), r'`radius` must be a whole number of at least 0, but got 1\.5'),
    ],
)
def test_wrong_arguments_are_refused(cfg, match):
    with pytest.raises(ValueError, match=match):
        TRANSFORMS.build({**cfg, 'type': f'ean_mm.{cfg["type"]}'})

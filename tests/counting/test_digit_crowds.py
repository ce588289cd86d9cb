from __future__ import annotations

import sys

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image
from scipy.io import loadmat

from ean_mm.counting.crowd_dataset import CrowdDataset
from ean_mm.counting.digit_crowds import DigitCrowds, encode_points
from ean_mm.datasets import compose_scene, hold_out


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / 'crowds')


def test_crowds_are_written_as_published_and_read_back(root):
    crowds = DigitCrowds(root, 'test', num_scenes=12, pipeline=[LoadImageFromFile()])
    for index, sample in enumerate(crowds):
        assert sample['img_path'].endswith(f'test_data/images/IMG_{index + 1}.jpg')
        scene = compose_scene(crowds.recipe, index)
        assert sample['points'].dtype == np.float32
        assert (sample['points'] == scene.points).all()
        assert np.abs(sample['img'][..., ::-1].astype(float) - scene.image).mean() < 6  # JPEG
    crowd = CrowdDataset(root, 'test')
    assert len(crowd) == 12
    for index in range(12):
        ours, theirs = crowds.get_data_info(index), crowd.get_data_info(index)
        assert ours.keys() == theirs.keys() == {'img_path', 'points', 'sample_idx'}
        assert ours['img_path'] == theirs['img_path']
        assert (ours['points'] == theirs['points']).all()


def test_annotations_have_the_published_structure(tmp_path):
    path = tmp_path / 'GT_IMG_1.mat'
    path.write_bytes(encode_points(np.array([[1.5, 2.5], [3, 4]], dtype=np.float32)))
    info = loadmat(path)['image_info']
    assert info.shape == (1, 1)
    assert info[0, 0].dtype.names == ('location', 'number')
    assert info[0, 0][0, 0][0].tolist() == [[1.5, 2.5], [3, 4]]
    assert info[0][0][0][0][1].tolist() == [[2]]


def test_scenes_without_digits_have_no_points(root):
    for sample in DigitCrowds(root, num_scenes=2, num_digits=(0, 0)):
        assert sample['points'].shape == (0, 2)
        with Image.open(sample['img_path']) as image:
            assert image.size == (128, 128)


def test_more_scenes_are_added_and_fewer_are_the_first(root):
    assert len(DigitCrowds(root, num_scenes=3)) == 3
    assert len(DigitCrowds(root, num_scenes=11)) == 11
    few = DigitCrowds(root, num_scenes=2)
    assert [few.get_data_info(i)['img_path'][-9:] for i in range(len(few))] == ['IMG_1.jpg', 'IMG_2.jpg']


def test_other_crowds_in_the_folder_are_refused(root):
    DigitCrowds(root, num_scenes=2)
    with pytest.raises(ValueError, match=r"generated from \{'num_digits': \[0, 30\], 'seed': 1\}, but got .* with "):
        DigitCrowds(root, num_scenes=2, num_digits=(0, 30), seed=1)
    with pytest.raises(ValueError, match=r'`num_scenes` must be a whole number of at least 1, but got 0\.'):
        DigitCrowds(root, num_scenes=0)
    with pytest.raises(ValueError, match=r'`num_digits` must be at most 49 where digits of 18 pixels share 128 x 128'):
        DigitCrowds(root, num_digits=(0, 50))


def test_reward_crowds_are_held_out_with_their_points(root):
    whole = DigitCrowds(root, num_scenes=9)
    expected = {info['img_path']: info['points'].tolist() for info in map(whole.get_data_info, range(9))}
    published = dict(type='ean_mm.CrowdDataset', data_root=root, split='train')
    sides = [hold_out(published, part, num_images=3, order='seeded', seed=2) for part in ('train', 'reward')]
    infos = [[side.get_data_info(i) for i in range(len(side))] for side in sides]
    assert [len(each) for each in infos] == [6, 3]
    found = {info['img_path']: info['points'].tolist() for each in infos for info in each}
    assert found == expected
    assert isinstance(sides[1], CrowdDataset)


def test_scipy_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, 'scipy.io', None)
    with pytest.raises(ImportError, match=r'`scipy` must be installed to write .*; run `pip install scipy`\.'):
        encode_points(np.zeros((0, 2)))

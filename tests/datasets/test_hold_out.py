from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, ConcatDataset
from segmentation_data import write_data

from ean_mm.datasets import CuedDigits, MissingDataError
from ean_mm.datasets.hold_out import hold_out, mark_per_class, read_labels
from ean_mm.registry import DATASETS

DIGITS = dict(type='ean_mm.CuedDigits', split='train', num_scenes=60)


def both_sides(**arguments):
    return [DATASETS.build(dict(type='ean_mm.HoldOut', part=part, **arguments)) for part in ('train', 'reward')]


def scenes_of(dataset) -> list[int]:
    return [dataset.get_data_info(i)['sample_idx'] for i in range(len(dataset))]


@pytest.mark.parametrize('order', ['first', 'seeded'])
def test_the_sides_are_disjoint_complete_and_stratified(order):
    train, reward = both_sides(dataset=DIGITS, per_class=2, order=order)
    assert sorted(scenes_of(train) + scenes_of(reward)) == list(range(60))
    assert np.bincount(reward.get_gt_labels()).tolist() == [2] * 10
    assert np.bincount(train.get_gt_labels()).tolist() == [4] * 10


def test_first_takes_each_class_in_order():
    _, reward = both_sides(dataset=DIGITS, per_class=2)
    assert scenes_of(reward) == list(range(20))  # labels take turns, so these are two of each


def test_seeded_depends_on_the_seed_alone():
    chosen = [scenes_of(both_sides(dataset=DIGITS, per_class=2, order='seeded', seed=seed)[1]) for seed in (5, 5, 6)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert chosen[0] == sorted(chosen[0]) != list(range(20))


class Labelled(BaseDataset):
    """Samples with the given annotations."""

    def __init__(self, infos):
        self.infos = infos
        super().__init__()

    def load_data_list(self):
        return self.infos


UNLABELLED = Labelled([dict(number=i) for i in range(50)])


def numbers_of(dataset) -> list[int]:
    return [dataset.get_data_info(i)['number'] for i in range(len(dataset))]


@pytest.mark.parametrize('order', ['first', 'seeded'])
@pytest.mark.parametrize('num_images', [1, 12, 49])
def test_without_labels_so_many_are_held_out_in_all(order, num_images):
    train, reward = (
        numbers_of(hold_out(UNLABELLED, part, num_images=num_images, order=order)) for part in ('train', 'reward')
    )
    assert len(reward) == num_images
    assert sorted(train + reward) == list(range(50))
    assert (train, reward) == (sorted(train), sorted(reward))
    if order == 'first':
        assert reward == list(range(num_images))
    assert numbers_of(UNLABELLED) == list(range(50))


def test_without_labels_a_seeded_choice_depends_on_the_seed_alone():
    chosen = [numbers_of(hold_out(UNLABELLED, 'reward', num_images=9, order='seeded', seed=s)) for s in (5, 5, 6)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert list(range(9)) not in chosen


def test_so_many_in_all_are_held_out_of_classes_as_well():
    train, reward = both_sides(dataset=DIGITS, num_images=7)
    assert (scenes_of(reward), scenes_of(train)) == (list(range(7)), list(range(7, 60)))


def test_label_maps_stay_with_their_images(tmp_path):
    scenes = dict(type='ean_mm.DigitScenes', data_root=str(tmp_path), num_scenes=9)
    sides = both_sides(dataset=scenes, num_images=4, order='seeded', seed=1)
    names = [[side.get_data_info(i)['img_path'][-10:] for i in range(len(side))] for side in sides]
    assert [len(each) for each in names] == [5, 4]
    assert sorted(names[0] + names[1]) == [f'{i:06}.png' for i in range(9)]
    for side in sides:
        infos = [side.get_data_info(i) for i in range(len(side))]
        assert all(info['seg_map_path'] == info['img_path'].replace('img_dir', 'ann_dir') for info in infos)
        assert side.metainfo['classes'][0] == 'background'


def test_reward_images_of_a_data_set_for_segmentation(tmp_path):
    pytest.importorskip('mmseg.models')
    written = write_data('cityscapes', tmp_path)
    prefix = dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train')
    pipeline = [dict(type=f'mmseg.{name}') for name in ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs')]
    scenes = dict(type='mmseg.CityscapesDataset', data_root=str(tmp_path), data_prefix=prefix, pipeline=pipeline)
    sides = both_sides(dataset=scenes, num_images=1)
    samples = [side[0]['data_samples'] for side in sides]
    assert [len(side) for side in sides] == [1, 1]
    assert len({sample.img_path for sample in samples}) == 2
    for sample in samples:
        assert (sample.gt_sem_seg.data[0].numpy() == written[Path(sample.seg_map_path).name]).all()


def test_first_agrees_with_one_scan_per_class():
    labels = np.random.default_rng(0).integers(0, 7, 500)
    slow = np.zeros(500, bool)
    for label in range(7):
        slow[np.flatnonzero(labels == label)[:9]] = True
    assert (mark_per_class(labels, 9) == slow).all()


def test_seeded_choice_is_fair():
    labels = np.zeros(4, int)
    marks = np.mean([mark_per_class(labels, 1, seed) for seed in range(400)], axis=0)
    assert np.abs(marks - 0.25).max() < 0.07


def test_the_result_is_the_data_set_itself():
    train, _ = both_sides(dataset=dict(DIGITS, pipeline=[lambda results: results['gt_label']]), per_class=2)
    assert isinstance(train, CuedDigits)
    assert train.metainfo['classes'][3] == '3'
    assert train.get_cat_ids(13) == [3]
    assert train[13] == 3


def test_a_given_data_set_is_left_alone():
    inner = CuedDigits(num_scenes=40)
    assert len(hold_out(inner, part='reward', per_class=1)) == 10
    assert len(inner) == 40


def test_every_label_is_read_once():
    class Counted(BaseDataset):
        reads = 0

        def load_data_list(self):
            return [dict(gt_label=i % 2) for i in range(10)]

        def get_data_info(self, idx):
            Counted.reads += 1
            return super().get_data_info(idx)

    assert read_labels(Counted()).tolist() == [0, 1] * 5
    assert Counted.reads == 10


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(part='val'), r"`part` must be one of \('train', 'reward'\), but got 'val'\."),
        (dict(order='last'), r"`order` must be one of \('first', 'seeded'\), but got 'last'\."),
        (dict(per_class=0), r'`per_class` must be a whole number of at least 1, but got 0\.'),
        (dict(seed=-1), r'`seed` must be a whole number of at least 0, but got -1\.'),
        (dict(per_class=6), r'below the size of every class, but got 6; class 0 has 6 samples\.'),
        (
            dict(per_class=None),
            r'`per_class` or `num_images` must be given, and not both, but got None and None; without',
        ),
        (
            dict(num_images=3),
            r'`per_class` or `num_images` must be given, and not both, but got 1 and 3; without class',
        ),
        (dict(per_class=None, num_images=0), r'`num_images` must be a whole number of at least 1, but got 0\.'),
        (
            dict(per_class=None, num_images=60),
            r'`num_images` must be below the size of the data set, but got 60; CuedDigits has 60 samples\.',
        ),
        (dict(dataset={}), r"`dataset` must be a dict with a 'type', but got \{\}"),
        (dict(dataset=dict(type='ean_mm.CuedDigit')), r"did you mean 'ean_mm.CuedDigits'"),
    ],
)
def test_refused_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        hold_out(**{**dict(dataset=DIGITS, part='train', per_class=1), **arguments})


@pytest.mark.parametrize(
    ('dataset', 'message'),
    [
        (ConcatDataset([DIGITS, DIGITS]), '`dataset` must be a BaseDataset, but got ConcatDataset'),
        (Labelled([dict(a=1)]), "`dataset` must label its samples, but got Labelled without 'gt_label'"),
        (Labelled([dict(gt_label=[1, 2])]), r'one whole number as label, but got int64 labels of shape \(1, 2\)'),
        (Labelled([dict(gt_label=0.5)]), r'one whole number as label, but got float64'),
    ],
)
def test_refused_data_sets(dataset, message):
    with pytest.raises(TypeError, match=message):
        hold_out(dataset, part='train', per_class=1)


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip('mmpretrain')
    image = pytest.importorskip('PIL.Image')
    for name, count in (('ant', 5), ('bee', 4)):
        (tmp_path / name).mkdir()
        for i in range(count):
            image.new('RGB', (4, 4), (i, 0, 0)).save(tmp_path / name / f'{i}.png')
    return tmp_path


def test_image_folders(folder):
    load = dict(type='mmpretrain.LoadImageFromFile')
    sides = both_sides(
        dataset=dict(type='mmpretrain.CustomDataset', data_root=str(folder), pipeline=[load]), per_class=3
    )
    paths = [[sample['img_path'] for sample in side] for side in sides]
    assert [len(side) for side in sides] == [3, 6]
    assert sorted(paths[0] + paths[1]) == sorted(map(str, folder.glob('*/*.png')))
    assert sides[0].metainfo['classes'] == ('ant', 'bee')
    assert sides[0][0]['img'].shape == (4, 4, 3)


def test_image_folders_with_too_few_samples(folder):
    with pytest.raises(ValueError, match=r'but got 4; class 1 has 4 samples\.'):
        hold_out(dict(type='mmpretrain.CustomDataset', data_root=str(folder)), part='train', per_class=4)


def test_missing_files_are_one_sentence(tmp_path):
    pytest.importorskip('mmpretrain')
    inner = dict(type='mmpretrain.ImageNet', data_root=str(tmp_path), split='train')
    with pytest.raises(MissingDataError, match=r"train/ and val/ .* where '.*/train' is missing; get"):
        hold_out(inner, part='train', per_class=1)

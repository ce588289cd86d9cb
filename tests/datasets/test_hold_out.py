from __future__ import annotations

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, ConcatDataset

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
        (dict(dataset={}), r"`dataset` must be a dict with a 'type', but got \{\}"),
        (dict(dataset=dict(type='ean_mm.CuedDigit')), r"did you mean 'ean_mm.CuedDigits'"),
    ],
)
def test_refused_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        hold_out(**{**dict(dataset=DIGITS, part='train'), **arguments})


class Labelled(BaseDataset):
    """Samples with the given annotations."""

    def __init__(self, infos):
        self.infos = infos
        super().__init__()

    def load_data_list(self):
        return self.infos


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
        hold_out(dataset, part='train')


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
        hold_out(inner, part='train')

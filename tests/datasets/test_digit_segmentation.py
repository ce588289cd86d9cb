from __future__ import annotations

import json

import mmcv.transforms  # noqa: F401  (registers LoadImageFromFile)
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

from ean_mm.datasets import DigitScenes, SceneRecipe, compose_scene
from ean_mm.registry import DATASETS

KEYS = {'img_path', 'seg_map_path', 'label_map', 'reduce_zero_label', 'seg_fields', 'sample_idx'}


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / 'scenes')


def test_the_files_hold_the_scenes(root):
    scenes = DigitScenes(root, 'reward', num_scenes=3, size=80, num_digits=[2, 4], seed=5)
    recipe = SceneRecipe('reward', 80, (2, 4), (22, 32), 5)
    assert len(scenes) == 3
    for index, info in enumerate(map(scenes.get_data_info, range(3))):
        assert info['img_path'].endswith(f'img_dir/reward/{index:06}.png')
        assert info['seg_map_path'].endswith(f'ann_dir/reward/{index:06}.png')
        drawn = compose_scene(recipe, index)
        with Image.open(info['img_path']) as image, Image.open(info['seg_map_path']) as labels:
            assert (np.array(image) == drawn.image).all()
            assert labels.mode == 'L'
            assert (np.array(labels) == drawn.labels).all()


def test_the_stamp_names_the_recipe(root):
    DigitScenes(root, num_scenes=1)
    with open(f'{root}/digit_scenes_train.json') as file:
        assert json.load(file) == {
            'format': 'ean_mm digit scenes',
            'version': 1,
            'split': 'train',
            'size': 64,
            'num_digits': [1, 4],
            'digit_size': [22, 32],
            'seed': 0,
        }


def test_other_scenes_in_the_folder_are_refused(root):
    DigitScenes(root, num_scenes=2)
    assert len(DigitScenes(root, num_scenes=4)) == 4
    assert len(DigitScenes(root, num_scenes=1)) == 1
    assert len(DigitScenes(root, 'test', num_scenes=1, seed=1)) == 1  # a split has a stamp of its own
    with pytest.raises(
        ValueError, match=r"generated from \{'size': 72\}, but got .* with \{'size': 64\}; name another"
    ):
        DigitScenes(root, num_scenes=2, size=72)


def test_classes_and_palette_match():
    meta = DigitScenes.METAINFO
    assert meta['classes'] == ('background', *'0123456789')
    assert len({tuple(colour) for colour in meta['palette']}) == 11
    assert all(0 <= part <= 255 for colour in meta['palette'] for part in colour)


def test_subsets_and_putting_off(root, tmp_path):
    assert not (tmp_path / 'scenes').exists()
    scenes = DigitScenes(root, num_scenes=5, indices=[4, 1], lazy_init=True)
    assert not (tmp_path / 'scenes').exists()
    scenes.full_init()
    assert [scenes.get_data_info(i)['img_path'][-10:] for i in range(2)] == ['000004.png', '000001.png']
    assert DATASETS.build(dict(type='ean_mm.DigitScenes', data_root=root, num_scenes=5, indices=2)).metainfo['classes']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(num_scenes=0), r'`num_scenes` must be a whole number of at least 1, but got 0\.'),
        (dict(split='val'), r"`split` must be one of \('train', 'reward', 'test'\), but got 'val'\."),
        (dict(num_digits=3), r'`num_digits` must be two whole numbers .*, but got 3\.'),
    ],
)
def test_refused_values(root, arguments, message):
    with pytest.raises(ValueError, match=message):
        DigitScenes(root, **arguments)


@pytest.fixture
def mmseg():
    module = pytest.importorskip('mmseg')
    for name in ('datasets', 'datasets.transforms', 'evaluation', 'structures'):
        pytest.importorskip(f'mmseg.{name}')
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield module


PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]


def test_mmsegs_own_data_set_reads_the_same(root, mmseg):
    from mmseg.datasets import BaseSegDataset

    ours = DigitScenes(root, 'test', num_scenes=4, pipeline=PIPELINE)
    theirs = BaseSegDataset(
        data_root=root,
        data_prefix=dict(img_path='img_dir/test', seg_map_path='ann_dir/test'),
        img_suffix='.png',
        metainfo=DigitScenes.METAINFO,
        pipeline=PIPELINE,
    )
    assert ours.metainfo == theirs.metainfo
    assert len(ours) == len(theirs)
    for index in range(4):
        assert ours.get_data_info(index) == theirs.get_data_info(index)
        assert set(ours.get_data_info(index)) == KEYS
        mine, yours = ours[index], theirs[index]
        assert (mine['inputs'] == yours['inputs']).all()
        assert mine['data_samples'].metainfo == yours['data_samples'].metainfo
        labels = mine['data_samples'].gt_sem_seg.data
        assert (labels == yours['data_samples'].gt_sem_seg.data).all()
        scene = compose_scene(ours.recipe, index)
        assert (labels[0].numpy() == scene.labels).all()
        assert (mine['inputs'].numpy()[::-1].transpose(1, 2, 0) == scene.image).all()  # mmcv loads BGR


def test_mmsegs_metric_counts_the_labels(root, mmseg):
    from mmseg.evaluation import IoUMetric

    scenes = DigitScenes(root, 'test', num_scenes=6, pipeline=PIPELINE, test_mode=True)
    metric = IoUMetric(iou_metrics=['mIoU'])
    metric.dataset_meta = scenes.metainfo
    inked = np.zeros(11)
    for scene in scenes:
        labels = scene['data_samples'].gt_sem_seg.data
        inked += np.bincount(labels.flatten().numpy(), minlength=11)
        metric.process({}, [dict(gt_sem_seg=dict(data=labels), pred_sem_seg=dict(data=labels * 0))])
    scores = metric.evaluate(6)
    assert scores['aAcc'] == pytest.approx(100 * inked[0] / inked.sum(), abs=0.01)
    assert scores['mAcc'] == pytest.approx(100 / (inked > 0).sum(), abs=0.01)  # all of the background, nothing else

"""Random images that any pipeline takes: with labels, label maps and points."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.registry import DefaultScope

from ean_mm.datasets import GeneratedImages, require_generable


def identical(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def test_an_image_and_all_about_it_is_a_function_of_its_index():
    few, many = GeneratedImages(3, num_classes=4, size=16), GeneratedImages(40, num_classes=4, size=16)
    assert [len(few), len(many)] == [3, 40]
    for index in (2, 0, 1, 0):
        assert identical(few[index], many[index])
    samples = [many[index] for index in range(40)]
    assert len({sample['img'].tobytes() for sample in samples}) == 40
    assert [sample['gt_label'] for sample in samples] == [0, 1, 2, 3] * 10
    assert len({len(sample['points']) for sample in samples}) > 5
    for sample in samples:
        assert sample['img'].shape == (16, 16, 3)
        assert sample['points'].shape == (len(sample['points']), 2)
        assert sample['points'].dtype == np.float32
        assert ((sample['points'] >= 0) & (sample['points'] <= 16)).all()
    assert np.concatenate([sample['points'] for sample in samples]).max() > 15


def test_global_generators_are_left_alone():
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    GeneratedImages(1, num_classes=4, size=8, pipeline=[dict(type='LoadAnnotations')])[0]
    assert np.random.random() == expected


def halve(results: dict) -> dict:
    """A resize as mmseg does it: what stands in seg_fields goes along."""
    results['img'] = results['img'][::2, ::2]
    for key in results.get('seg_fields', ()):
        results[key] = results[key][::2, ::2]
    return results


@pytest.mark.parametrize(('num_classes', 'expected'), [(1, 1), (5, 5), (255, 255), (300, 255)])
def test_label_maps_come_where_they_would_be_loaded(num_classes, expected):
    load, labels = dict(type='mmseg.LoadImageFromFile'), dict(type='LoadAnnotations', reduce_zero_label=True)
    before, after = (
        GeneratedImages(4, num_classes, size=64, pipeline=steps)
        for steps in ([load, labels, halve], [load, halve, labels])
    )
    for index in range(4):
        small, large = before[index], after[index]
        assert np.array_equal(small['img'], large['img'])
        assert small['seg_fields'] == large['seg_fields'] == ['gt_seg_map']
        assert large['gt_seg_map'].shape == large['ori_shape'] == (64, 64)
        assert np.array_equal(small['gt_seg_map'], large['gt_seg_map'][::2, ::2])
        assert large['gt_seg_map'].dtype == np.uint8
        assert np.unique(large['gt_seg_map']).tolist() == list(range(expected))
    assert not np.array_equal(after[0]['gt_seg_map'], after[1]['gt_seg_map']) or num_classes == 1
    assert before.metainfo['classes'] == tuple(map(str, range(num_classes)))


def test_a_pipeline_of_segmentation_and_its_metric_take_them():
    pytest.importorskip('mmseg.models')
    from mmseg.evaluation import IoUMetric

    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(64, 48), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs'),
    ]
    with DefaultScope.overwrite_default_scope('mmseg'):
        images = GeneratedImages(6, num_classes=7, size=40, pipeline=pipeline)
        metric = IoUMetric(iou_metrics=['mIoU'])
        metric.dataset_meta = images.metainfo
        for packed in images:
            labels = packed['data_samples'].gt_sem_seg.data
            assert labels.shape[1:] == packed['inputs'].shape[1:]
            metric.process({}, [dict(gt_sem_seg=dict(data=labels), pred_sem_seg=dict(data=labels))])
    assert metric.evaluate(6) == {'aAcc': 100, 'mIoU': 100, 'mAcc': 100}


def test_a_pipeline_of_counting_takes_them():
    pipeline = [
        dict(type='mmcv.LoadImageFromFile'),
        dict(type='ean_mm.CropWithPoints', height=24, width=40),
        dict(type='ean_mm.FlipWithPoints', prob=0.5),
        dict(type='ean_mm.PackCountInputs', sigma=2.0),
    ]
    images = GeneratedImages(12, num_classes=2, size=32, pipeline=pipeline)
    counts = []
    for packed in images:
        sample = packed['data_samples']
        assert packed['inputs'].shape == (3, 24, 40)
        assert sample.gt_density.data.sum().item() == pytest.approx(sample.gt_count, rel=1e-5)
        counts.append(sample.gt_count)
    assert 0 < max(counts) <= 20


@pytest.mark.parametrize(
    ('step', 'shown'),
    [
        (dict(type='LoadAnnotations', with_bbox=True), r"\{'type': 'LoadAnnotations', 'with_bbox': True\}"),
        (dict(type='mmdet.LoadAnnotations', with_mask=True), 'mmdet.LoadAnnotations'),
        (dict(type='LoadPanopticAnnotations'), 'LoadPanopticAnnotations'),
        (dict(type='mmseg.LoadDepthAnnotation'), 'LoadDepthAnnotation'),
    ],
)
def test_what_loads_anything_else_is_refused(step, shown):
    pipeline = [dict(type='LoadImageFromFile'), step, lambda results: results]
    message = f'`pipeline` must load nothing but images and label maps to run on random images, but got .*{shown}'
    for call in (lambda: require_generable(pipeline), lambda: GeneratedImages(1, 2, 8, pipeline)):
        with pytest.raises(ValueError, match=message + '.*; put the data in its place'):
            call()
    require_generable([pipeline[0], dict(type='LoadAnnotations', with_bbox=False), pipeline[2]])


@pytest.mark.parametrize('name', ['num_images', 'num_classes', 'size'])
def test_wrong_numbers_are_refused(name):
    with pytest.raises(ValueError, match=f'`{name}` must be a whole number of at least 1, but got 0'):
        GeneratedImages(**{**dict(num_images=1, num_classes=1, size=1), name: 0})

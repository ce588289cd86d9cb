from __future__ import annotations

import pytest

from ean_mm.datasets import (
    CuedDigits,
    MissingDataError,
    explain_missing_data,
    find_missing_data,
    require_data,
)

IMAGENET = dict(type='mmpretrain.ImageNet', data_root='no/imagenet', split='train')
CIFAR = dict(type='CIFAR100', data_root='no/cifar100', download=False)


@pytest.mark.parametrize(
    ('dataset', 'sentence'),
    [
        (
            IMAGENET,
            '`data_root` must hold train/ and val/ with one folder of images per class, or flat with '
            "meta/train.txt and meta/val.txt for ImageNet, but got 'no/imagenet' where 'no/imagenet' is "
            'missing; get the data from https://www.image-net.org/download.php or correct the path.',
        ),
        (
            CIFAR,
            '`data_root` must hold cifar-100-python/ as unpacked from cifar-100-python.tar.gz for '
            "CIFAR100, but got 'no/cifar100' where 'no/cifar100' is missing; get the data from "
            'https://www.cs.toronto.edu/~kriz/cifar.html or correct the path.',
        ),
        (
            dict(type='ean_mm.CrowdDataset', data_root='no/part_A'),
            '`data_root` must hold train_data/ and test_data/, each with images/ and ground-truth/, for '
            "CrowdDataset, but got 'no/part_A' where 'no/part_A' is missing; get the data from "
            'https://github.com/desenzhou/ShanghaiTechDataset or correct the path.',
        ),
        (
            dict(type=CuedDigits, data_prefix='no/where'),
            "`data_root` must hold the files that its config names for CuedDigits, but got '' where "
            "'no/where' is missing; get the data from its authors or correct the path.",
        ),
    ],
)
def test_the_sentence(dataset, sentence):
    assert find_missing_data(dataset) == sentence


@pytest.mark.parametrize(
    ('present', 'dataset', 'missing'),
    [
        ([], IMAGENET, ''),
        ([''], IMAGENET, 'train'),
        (['train'], IMAGENET, None),
        (['val'], dict(IMAGENET, data_prefix='val'), None),
        (['train'], dict(IMAGENET, split='', data_prefix=dict(img_path='train')), None),
        (['train'], dict(IMAGENET, ann_file='meta/train.txt'), 'meta/train.txt'),
        ([''], CIFAR, 'cifar-100-python'),
        (['cifar-100-python'], CIFAR, None),
        (['a'], dict(type='CIFAR10', download=False, data_prefix='a'), 'a/cifar-10-batches-py'),
        ([''], dict(type='mmseg.ADE20KDataset', data_prefix=dict(img_path='i', seg_map_path='s')), 'i'),
        (['i'], dict(type='mmseg.ADE20KDataset', data_prefix=dict(img_path='i', seg_map_path='s')), 's'),
    ],
)
def test_the_first_missing_path_is_found(tmp_path, present, dataset, missing):
    root = tmp_path / 'root'
    for folder in present:
        (root / folder).mkdir(parents=True)
    sentence = find_missing_data(dict(dataset, data_root=str(root)))
    if missing is None:
        assert sentence is None
    else:
        assert f'where {str(root / missing)!r} is missing' in sentence


def test_what_needs_no_file_is_present():
    assert find_missing_data(dict(type='ean_mm.CuedDigits', split='train')) is None
    assert find_missing_data(dict(IMAGENET, data_root='s3://bucket/imagenet')) is None
    for kind in ('ean_mm.DigitScenes', 'ean_mm.DigitCrowds'):
        assert find_missing_data(dict(type=kind, data_root='no/where'), trust_download=False) is None


@pytest.mark.parametrize('wrap', [lambda d: dict(dataset=d), lambda d: dict(datasets=[dict(type='x'), d])])
def test_wrapped_data_sets_are_looked_at(wrap):
    assert 'no/imagenet' in find_missing_data(dict(type='Wrapper', **wrap(IMAGENET)))


def test_a_data_set_that_downloads_is_trusted_until_it_fails():
    fetching = dict(CIFAR, download=True)
    default = dict(type='CIFAR100', data_root='no/cifar100')
    assert find_missing_data(fetching) is None
    assert find_missing_data(default) is None
    assert 'no/cifar100' in find_missing_data(default, trust_download=False)


def test_require_data_checks_each():
    require_data(dict(type='ean_mm.CuedDigits'))
    with pytest.raises(MissingDataError, match='no/cifar100'):
        require_data(dict(type='ean_mm.CuedDigits'), CIFAR)


def test_errors_over_missing_files_are_explained():
    with pytest.raises(MissingDataError, match='no/imagenet') as caught, explain_missing_data(IMAGENET):
        raise AssertionError('Download failed')
    assert isinstance(caught.value.__cause__, AssertionError)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match='unrelated'), explain_missing_data(dict(type='ean_mm.CuedDigits')):
        raise RuntimeError('unrelated')


def test_what_mmpretrain_raises_is_explained(tmp_path):
    datasets = pytest.importorskip('mmpretrain.datasets')
    for kind, arguments in (
        (datasets.ImageNet, dict(data_root=str(tmp_path), split='train')),
        (datasets.ImageNet, dict(data_root=str(tmp_path), split='train', ann_file='meta/train.txt')),
        (datasets.CIFAR100, dict(data_root=str(tmp_path), download=False)),
        (datasets.CustomDataset, dict(data_root=str(tmp_path / 'x'))),
    ):
        with pytest.raises(MissingDataError), explain_missing_data(dict(type=kind, **arguments)):
            kind(**arguments)

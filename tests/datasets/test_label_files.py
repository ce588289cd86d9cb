from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from segmentation_data import write_data

from ean_mm.datasets import MissingDataError, find_missing_data, require_data

CONFIGS = Path(__file__).parents[2] / 'configs/ean'


@pytest.fixture(params=['cityscapes', 'ade20k', 'voc12aug'])
def name(request):
    return request.param


def datasets(name, root):
    """The data sets of the shipped config, below another root."""
    cfg = Config.fromfile(CONFIGS / f'_base_/datasets/{name}.py')
    text = cfg.dump().replace(cfg.data_root, str(root))
    return [Config.fromstring(text, '.py')[f'{part}_dataloader'].dataset for part in ('train', 'val')]


def test_complete_data_has_nothing_missing(name, tmp_path):
    write_data(name, tmp_path)
    require_data(*datasets(name, tmp_path))


def test_no_data_names_the_root(name, tmp_path):
    (sentence, _) = map(find_missing_data, datasets(name, tmp_path / 'no'))
    assert f'where {str(tmp_path / "no")!r} is missing; get the data from http' in sentence


def assert_each_is_missed(name, root, paths):
    for path in paths:
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(MissingDataError, match=f'{path.name}. is missing'):
            require_data(*datasets(name, root))
        path.write_bytes(content)


def test_every_single_missing_label_map_is_found(name, tmp_path):
    written = write_data(name, tmp_path)
    labels = [path for path in tmp_path.rglob('*.png') if path.name in written]
    assert len(labels) == len(written)
    assert_each_is_missed(name, tmp_path, labels)


def test_every_single_missing_image_of_a_list_is_found(tmp_path):
    write_data('voc12aug', tmp_path)
    images = [*(tmp_path / 'JPEGImages').iterdir()]
    assert len(images) == 6
    assert_each_is_missed('voc12aug', tmp_path, images)


def test_labels_never_converted_are_named_with_the_remedy(tmp_path):
    write_data('cityscapes', tmp_path)
    for path in tmp_path.rglob('*_gtFine_labelTrainIds.png'):
        path.rename(path.with_name(path.name.replace('labelTrainIds', 'labelIds')))
    message = (
        'aachen_000000_000019_gtFine_labelTrainIds.png. is missing; .*csCreateTrainIdLabelImgs of cityscapesScripts'
    )
    with pytest.raises(MissingDataError, match=message):
        require_data(*datasets('cityscapes', tmp_path))


def test_a_folder_without_images_is_missing_all_of_them(tmp_path):
    write_data('ade20k', tmp_path)
    for path in (tmp_path / 'images/training').iterdir():
        path.unlink()
    assert 'images/training/*.jpg' in find_missing_data(datasets('ade20k', tmp_path)[0])


def test_what_the_config_says_of_suffixes_counts(tmp_path):
    write_data('ade20k', tmp_path)
    dataset = {**datasets('ade20k', tmp_path)[0], 'seg_map_suffix': '_labels.png'}
    assert 'ADE_train_00000000_labels.png' in find_missing_data(dataset)
    assert 'images/training/*.tif' in find_missing_data({**dataset, 'img_suffix': '.tif'})


def test_images_alone_need_no_labels(tmp_path):
    write_data('ade20k', tmp_path)
    for path in (tmp_path / 'annotations/training').iterdir():
        path.unlink()
    dataset = dict(type='mmseg.ADE20KDataset', data_root=str(tmp_path), data_prefix=dict(img_path='images/training'))
    assert find_missing_data(dataset) is None


def test_files_elsewhere_are_left_to_their_backend(tmp_path):
    write_data('ade20k', tmp_path)
    next((tmp_path / 'annotations/training').iterdir()).unlink()
    dataset = datasets('ade20k', tmp_path)[0]
    assert find_missing_data(dataset) is not None
    assert find_missing_data({**dataset, 'backend_args': dict(backend='petrel')}) is None
    assert find_missing_data({**dataset, 'data_root': 's3://bucket'}) is None

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
from mmengine.logging import MMLogger
from PIL import Image
from scipy.io import savemat

from ean_mm.counting.crowd_dataset import CrowdDataset, keep_inside, read_points
from ean_mm.datasets import MissingDataError


def published(points: list, **more: object) -> dict:
    """The content of an annotation as ShanghaiTech's authors saved it: a cell with a struct in it."""
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = dict(location=np.array(points, dtype=float), number=len(points), **more)
    return dict(image_info=cell)


def add_image(root, number: int, content: dict | bytes | None, split: str = 'train', folder: str = 'ground-truth'):
    images, truth = root / f'{split}_data' / 'images', root / f'{split}_data' / folder
    for each in (images, truth):
        each.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (100, 50)).save(images / f'IMG_{number}.jpg')
    path = truth / f'GT_IMG_{number}.mat'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        savemat(path, content)
    return path


POINTS = [[855.32, 590.5], [0.5, 3.25]]


def test_published_files_are_read(tmp_path):
    """Both ways in which other programs reach the points lead to the same."""
    from scipy.io import loadmat

    path = add_image(tmp_path, 1, published(POINTS))
    info = loadmat(path)['image_info']
    assert (info[0, 0][0, 0][0] == info[0, 0]['location'][0, 0]).all()
    assert info[0, 0].dtype.names == ('location', 'number')
    points = read_points(path)
    assert points.dtype == np.float32
    assert points.tolist() == np.float32(POINTS).tolist()


@pytest.mark.parametrize('folder', ['ground-truth', 'ground_truth'])
def test_images_come_by_number_with_their_points(tmp_path, folder):
    for number in (10, 9, 1, 100):
        add_image(tmp_path, number, published([[number / 2, 3]] * (number % 4)), folder=folder)
    add_image(tmp_path, 2, published([[7, 7]]), split='test', folder=folder)
    crowd = CrowdDataset(str(tmp_path))
    infos = [crowd.get_data_info(i) for i in range(len(crowd))]
    names = [info['img_path'].rpartition('/')[2] for info in infos]
    assert names == ['IMG_1.jpg', 'IMG_9.jpg', 'IMG_10.jpg', 'IMG_100.jpg']
    assert [info['points'].tolist() for info in infos] == [[[0.5, 3]], [[4.5, 3]], [[5, 3]] * 2, []]
    assert infos[3]['points'].shape == (0, 2)
    assert CrowdDataset(str(tmp_path), 'test')[0]['points'].tolist() == [[7, 7]]


def test_no_points_however_they_are_written(tmp_path):
    for number, empty in enumerate((np.zeros((0, 2)), np.zeros((0, 0)))):
        cell = np.empty((1, 1), dtype=object)
        cell[0, 0] = dict(location=empty, number=0)
        assert read_points(add_image(tmp_path, number, dict(image_info=cell))).shape == (0, 2)


@pytest.mark.parametrize(
    ('point', 'kept'),
    [
        ((0, 0), (0, 0)),
        ((99.5, 49.5), (99.5, 49.5)),
        ((-0.75, 3), (0, 3)),
        ((-1, 50.5), (0, np.nextafter(np.float32(50), 0))),
        ((100, 51), (np.nextafter(np.float32(100), 0), np.nextafter(np.float32(50), 0))),
        ((101.5, 3), None),
        ((3, -1.25), None),
        ((3, 700), None),
    ],
)
def test_points_near_the_border_are_kept_and_others_left_out(point, kept):
    inside = keep_inside(np.array([[5, 6], point, [7, 8]]), width=100, height=50)
    assert inside.tolist() == [[5, 6], *([list(kept)] if kept else []), [7, 8]]
    assert (np.floor(inside) < [100, 50]).all()


def test_one_warning_counts_what_is_dropped(tmp_path, caplog):
    add_image(tmp_path, 1, published([[1, 1], [300, 3], [3, 90]]))
    add_image(tmp_path, 2, published([[1, 1]]))
    add_image(tmp_path, 3, published([[-9, 1]]))
    logger = MMLogger.get_instance('crowd', logger_name='crowd')
    logger.addHandler(caplog.handler)
    crowd = CrowdDataset(str(tmp_path))
    assert [len(crowd.get_data_info(i)['points']) for i in range(3)] == [1, 1, 0]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith('3 points outside 2 of 3 images of ')
    assert record.getMessage().endswith("train_data' are dropped.")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(
        MissingDataError,
        match=r'`data_root` must hold train_data/images/ with images and train_data/ground-truth/ with their points, '
        r"but got '.*' without an image in '.*images'; get the data from their authors or correct the path\.",
    ):
        CrowdDataset(str(tmp_path))
    add_image(tmp_path, 3, None)
    with pytest.raises(
        MissingDataError,
        match=r"`data_root` must hold the points of every image, but got '.*IMG_3\.jpg' where "
        r"'.*ground-truth/GT_IMG_3\.mat' is missing; add the file or remove the image\.",
    ):
        CrowdDataset(str(tmp_path))
    assert not CrowdDataset(str(tmp_path), lazy_init=True)._fully_initialized


def saved(**content) -> bytes:
    import io

    buffer = io.BytesIO()
    savemat(buffer, content)
    return buffer.getvalue()


BROKEN = {
    'empty': b'',
    'text': b'x, y\n1, 2\n' * 50,
    'hdf5': b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM' + b'\x89HDF' * 50,
    'other name': saved(annPoints=np.ones((3, 2))),
    'no struct': saved(image_info=np.ones((3, 2))),
    'no cell': saved(image_info=dict(number=3)),
    'words': saved(image_info=np.array([[{'location': 'here'}]], dtype=object)),
}


@pytest.mark.parametrize('name', BROKEN)
def test_annotations_of_another_kind_are_named(tmp_path, name):
    add_image(tmp_path, 4, BROKEN[name])
    with pytest.raises(
        ValueError,
        match=r"`GT_IMG_4\.mat` must be a Matlab file with image_info\{1\}\.location, but got '.*GT_IMG_4\.mat'",
    ):
        CrowdDataset(str(tmp_path))


@pytest.mark.parametrize('compressed', [False, True])
def test_cut_off_annotations_raise_nothing_but_the_sentence(tmp_path, compressed):
    path = tmp_path / 'GT_IMG_1.mat'
    savemat(path, published(POINTS), do_compression=compressed)
    whole = path.read_bytes()
    complaints = []
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        complaints.append(complaint_about(path))
    assert all(complaint.startswith(('`GT_IMG_1.mat` must ', 'none')) for complaint in complaints)
    assert complaints.count('none') < 10  # what is cut off then is padding


def complaint_about(path) -> str:
    try:
        read_points(path)
    except ValueError as err:
        return str(err)
    return 'none'


@pytest.mark.parametrize('points', [[[1, 2, 3]], [[np.nan, 2]], [[1, 2], [np.inf, 3]]])
def test_points_that_are_none_are_named(tmp_path, points):
    path = add_image(tmp_path, 4, published(points))
    with pytest.raises(ValueError, match=r'`GT_IMG_4\.mat` must hold finite points of shape \(n, 2\), but got shape '):
        read_points(path)


def test_a_file_that_is_no_image_is_named(tmp_path):
    add_image(tmp_path, 4, published(POINTS))
    (tmp_path / 'train_data/images/IMG_4.jpg').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r"`IMG_4\.jpg` must be an image, but got '.*IMG_4\.jpg'"):
        CrowdDataset(str(tmp_path))


def test_scipy_is_asked_for(tmp_path, monkeypatch):
    path = add_image(tmp_path, 4, published(POINTS))
    monkeypatch.setitem(sys.modules, 'scipy.io', None)
    with pytest.raises(ImportError, match=r'`scipy` must be installed to read .*; run `pip install scipy`\.'):
        read_points(path)

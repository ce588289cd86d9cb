"""Say in one sentence which files of a data set are missing, how they lie, and where to get them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .label_files import find_missing_pair


class MissingDataError(FileNotFoundError):
    """The files of a data set are not where its config says."""


@dataclass(frozen=True)
class DataSource:
    """What a well-known data set looks like on disk.

    Args:
        layout: what ``data_root`` holds.
        origin: where to get it.
        folder: a folder that its loader looks for below ``data_root``.
        suffixes: how its images' and label maps' names end, for segmentation.
    """

    layout: str
    origin: str
    folder: str = ''
    suffixes: tuple[str, str] | None = None


_UNKNOWN = DataSource('the files that its config names', 'its authors')
_SOURCES = {
    'ImageNet': DataSource(
        'train/ and val/ with one folder of images per class, or flat with meta/train.txt and meta/val.txt',
        'https://www.image-net.org/download.php',
    ),
    'CIFAR10': DataSource(
        'cifar-10-batches-py/ as unpacked from cifar-10-python.tar.gz',
        'https://www.cs.toronto.edu/~kriz/cifar.html',
        'cifar-10-batches-py',
    ),
    'CIFAR100': DataSource(
        'cifar-100-python/ as unpacked from cifar-100-python.tar.gz',
        'https://www.cs.toronto.edu/~kriz/cifar.html',
        'cifar-100-python',
    ),
    'CrowdDataset': DataSource(
        'train_data/ and test_data/, each with images/ and ground-truth/,',
        'https://github.com/desenzhou/ShanghaiTechDataset',
    ),
    'CityscapesDataset': DataSource(
        'leftImg8bit/ and gtFine/, each with train/ and val/, and *_gtFine_labelTrainIds.png in the latter,',
        'https://www.cityscapes-dataset.com (csCreateTrainIdLabelImgs of cityscapesScripts writes the labels)',
        suffixes=('_leftImg8bit.png', '_gtFine_labelTrainIds.png'),
    ),
    'ADE20KDataset': DataSource(
        'images/ and annotations/, each with training/ and validation/,',
        'http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip',
        suffixes=('.jpg', '.png'),
    ),
    'PascalVOCDataset': DataSource(
        'JPEGImages/, SegmentationClass/, SegmentationClassAug/ and ImageSets/Segmentation/ with its lists',
        'http://host.robots.ox.ac.uk/pascal/VOC/voc2012 (tools/dataset_converters/voc_aug.py of mmsegmentation '
        'writes SegmentationClassAug and aug.txt)',
        suffixes=('.jpg', '.png'),
    ),
    'CocoDataset': DataSource('train2017/, val2017/ and annotations/', 'https://cocodataset.org/#download'),
}
_GENERATED = ('DigitScenes', 'DigitCrowds')  # they write what is missing themselves


def find_missing_data(dataset: dict, trust_download: bool = True) -> str | None:
    """Look for the files of a data set, without building it.

    Wrapped data sets (``dataset`` and ``datasets`` of a wrapper) are looked at as well. Paths with a
    scheme, such as s3://, are taken for present.

    Args:
        dataset: config of the data set.
        trust_download: whether a data set that fetches missing files by itself counts as present;
            one that generates them always does.

    Returns:
        One sentence about the first missing path, or None if nothing is missing.
    """
    for leaf in _iter_leaves(dataset):
        if _bare_type(leaf) in _GENERATED or (trust_download and _fetches_by_itself(leaf)):
            continue
        path = _find_missing_path(leaf)
        if path is not None:
            return _describe(leaf, path)
    return None


def require_data(*datasets: dict) -> None:
    """Check the files of several data sets before anything is built.

    Args:
        datasets: their configs.

    Raises:
        MissingDataError: if a path is missing.
    """
    for dataset in datasets:
        sentence = find_missing_data(dataset)
        if sentence is not None:
            raise MissingDataError(sentence)


@contextmanager
def explain_missing_data(dataset: dict) -> Iterator[None]:
    """Replace whatever a data set raises over missing files by one sentence; leave other errors.

    Args:
        dataset: config of the data set that is built inside.

    Raises:
        MissingDataError: if the body failed and a path of the data set is missing.
    """
    try:
        yield
    except (OSError, RuntimeError, AssertionError) as err:  # loaders raise any of these
        sentence = find_missing_data(dataset, trust_download=False)
        if sentence is None:
            raise
        raise MissingDataError(sentence) from err


def _iter_leaves(dataset: dict) -> Iterator[dict]:
    inner = [*dataset.get('datasets', ()), *filter(None, [dataset.get('dataset')])]
    if not inner:
        yield dataset
    for each in inner:
        yield from _iter_leaves(each)


def _bare_type(leaf: dict) -> str:
    kind = leaf.get('type')
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', str(kind))


def _fetches_by_itself(leaf: dict) -> bool:
    return bool(leaf.get('download', _bare_type(leaf) in ('CIFAR10', 'CIFAR100')))


def _find_missing_path(leaf: dict) -> str | None:
    for path in _iter_paths(leaf):
        if '://' not in path and not Path(path).expanduser().exists():
            return path
    suffixes = _SOURCES.get(_bare_type(leaf), _UNKNOWN).suffixes
    return None if suffixes is None else find_missing_pair(leaf, suffixes)


def _iter_paths(leaf: dict) -> Iterator[str]:
    """What must exist, the outermost first: data_root, then what the config names below it."""
    root = leaf.get('data_root') or ''
    if root:
        yield root
    prefix = leaf.get('data_prefix') or leaf.get('split', '') * (_bare_type(leaf) == 'ImageNet')
    folder = _SOURCES.get(_bare_type(leaf), _UNKNOWN).folder
    for below in prefix.values() if isinstance(prefix, dict) else [prefix]:
        yield from filter(None, [os.path.join(root, below, folder).rstrip('/')])
    yield from filter(None, [leaf.get('ann_file') and os.path.join(root, leaf['ann_file'])])


def _describe(leaf: dict, path: str) -> str:
    source = _SOURCES.get(_bare_type(leaf), _UNKNOWN)
    root = leaf.get('data_root') or ''
    return (
        f'`data_root` must hold {source.layout} for {_bare_type(leaf)}, but got {root!r} where '
        f'{path!r} is missing; get the data from {source.origin} or correct the path.'
    )

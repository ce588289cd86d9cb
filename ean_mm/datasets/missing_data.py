"""Say in one sentence which files of a data set are missing, how they lie, and where to get them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class MissingDataError(FileNotFoundError):
    """The files of a data set are not where its config says."""


@dataclass(frozen=True)
class DataSource:
    """What a well-known data set looks like on disk.

    Args:
        layout: what ``data_root`` holds.
        origin: where to get it.
        folder: a folder that its loader looks for below ``data_root``.
    """

    layout: str
    origin: str
    folder: str = ''


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
}


def find_missing_data(dataset: dict, trust_download: bool = True) -> str | None:
    """Look for the files of a data set, without building it.

    Wrapped data sets (``dataset`` and ``datasets`` of a wrapper) are looked at as well. Paths with a
    scheme, such as s3://, are taken for present.

    Args:
        dataset: config of the data set.
        trust_download: whether a data set that fetches missing files by itself counts as present.

    Returns:
        One sentence about the first missing path, or None if nothing is missing.
    """
    for leaf in _iter_leaves(dataset):
        if trust_download and _fetches_by_itself(leaf):
            continue
        for path in _iter_paths(leaf):
            if '://' not in path and not Path(path).expanduser().exists():
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

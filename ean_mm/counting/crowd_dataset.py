"""Crowds as they are published: one image, one .mat file with the place of every head."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from ..datasets import MissingDataError
from ..registry import DATASETS

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png')
POINT_FOLDERS = ('ground-truth', 'ground_truth')  # both are in circulation
BORDER = 1.0  # pixels by which a point may leave the image and still be meant; Matlab counts from 1


@DATASETS.register_module()
class CrowdDataset(BaseDataset):
    """Images and points in the layout of ShanghaiTech A and B.

    ``<data_root>/<split>_data/images/IMG_1.jpg`` goes with
    ``<data_root>/<split>_data/ground-truth/GT_IMG_1.mat`` (or ``ground_truth/``), which holds the
    points as ``image_info[0, 0]['location'][0, 0]``. Samples have ``img_path`` and ``points``,
    (n, 2) float32: x and y in pixels, 0 at the left and top edge, so ``floor`` gives the pixel. A
    scene without points has n = 0. Some published points lie outside their image: those within one
    pixel of it are moved to its border, the others are dropped, with one warning that counts them.
    Images are in the order of the numbers in their names.
    Source: Zhang et al., CVPR 2016 (MCNN).

    Args:
        data_root: folder of one part, such as data/ShanghaiTech/part_A.
        split: 'train' or 'test', or what else stands before ``_data``.
        pipeline: transforms, as configs or callables, beginning with LoadImageFromFile.
        indices: keeps the first so many images, or those listed.
        test_mode: whether a transform that returns None is an error.
        lazy_init: whether to put off reading the points.

    Raises:
        MissingDataError: if a folder or an annotation is not there.
        ValueError: naming the file, if an annotation cannot be understood.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        pipeline: Sequence[dict | Callable] = (),
        indices: int | Sequence[int] | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ):
        self.split = split
        super().__init__(
            data_root=str(data_root),
            indices=indices,
            pipeline=list(pipeline),
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    @property
    def split_folder(self) -> Path:
        """Where the images and annotations of this split lie."""
        return Path(self.data_root) / f'{self.split}_data'

    def find_images(self) -> list[Path]:
        """Return the images, IMG_2 before IMG_10.

        Raises:
            MissingDataError: if there is none.
        """
        folder = self.split_folder / 'images'
        names = [path for path in folder.glob('*') if path.suffix.lower() in IMAGE_SUFFIXES]
        if not names:
            raise MissingDataError(
                f'`data_root` must hold {self.split}_data/images/ with images and {self.split}_data/ground-truth/ with '
                f'their points, but got {self.data_root!r} without an image in {str(folder)!r}; '
                'get the data from their authors or correct the path.'
            )
        return sorted(names, key=_by_numbers)

    def load_data_list(self) -> list[dict]:
        """Read the points of every image."""
        samples, num_dropped, num_images = [], 0, 0
        for image in self.find_images():
            points = read_points(_find_annotation(image))
            inside = keep_inside(points, *_read_size(image))
            num_dropped += len(points) - len(inside)
            num_images += len(points) > len(inside)
            samples.append(dict(img_path=str(image), points=inside))
        if num_dropped:
            print_log(
                f'{num_dropped} points outside {num_images} of {len(samples)} images of {str(self.split_folder)!r} '
                'are dropped.',
                logger='current',
                level=logging.WARNING,
            )
        return samples


def read_points(path: Path) -> np.ndarray:
    """Read the points of one image as they stand in its annotation, (n, 2) float32.

    Raises:
        ImportError: if scipy is not installed.
        ValueError: naming the file, if it is not such an annotation.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as err:
        raise ImportError(
            f'`scipy` must be installed to read {str(path)!r}, but got {str(err)!r}; run `pip install scipy`.'
        ) from err
    # what scipy raises over files that are cut off, damaged, of another kind or of Matlab 7.3
    unreadable = (ValueError, TypeError, KeyError, IndexError, NotImplementedError, EOFError, OSError)
    try:
        points = loadmat(path, variable_names=['image_info'])['image_info'][0, 0]['location'][0, 0]
        points = np.asarray(points, dtype=np.float64)
    except (*unreadable, MatReadError, zlib.error) as err:
        raise ValueError(
            f'`{path.name}` must be a Matlab file with image_info{{1}}.location, but got {str(path)!r}: '
            f'{type(err).__name__}: {err}.'
        ) from err
    if points.size == 0:
        return np.zeros((0, 2), dtype=np.float32)
    strange = ~(np.abs(points) <= np.finfo(np.float32).max)
    if points.ndim != 2 or points.shape[1] != 2 or strange.any():
        raise ValueError(
            f'`{path.name}` must hold finite points of shape (n, 2), but got shape {points.shape} with '
            f'{int(strange.sum())} numbers that are not finite in {str(path)!r}.'
        )
    return points.astype(np.float32)


def keep_inside(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Move points within one pixel of the image to its border and leave out those farther off.

    Args:
        points: (n, 2), x and y in pixels.
        width: of the image.
        height: of the image.

    Returns:
        (m, 2) float32 with 0 <= x < width and 0 <= y < height.

    >>> keep_inside(np.array([[-0.5, 3], [10, 3], [4, 12]]), width=10, height=10).tolist()
    [[0.0, 3.0], [9.999999046325684, 3.0]]
    """
    span = np.array([width, height], dtype=np.float32)
    points = points.astype(np.float32)
    near = ((points >= -BORDER) & (points <= span + BORDER)).all(1)
    return points[near].clip(0, np.nextafter(span, np.float32(0)))


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    return [(int(part or 0), '') if part.isdecimal() else (0, part) for part in re.split(r'(\d+)', path.stem)]


def _find_annotation(image: Path) -> Path:
    folders = [image.parent.with_name(name) for name in POINT_FOLDERS]
    candidates = [folder / f'GT_{image.stem}.mat' for folder in folders]
    for path in candidates:
        if path.exists():
            return path
    raise MissingDataError(
        f'`data_root` must hold the points of every image, but got {str(image)!r} where {str(candidates[0])!r} is '
        'missing; add the file or remove the image.'
    )


def _read_size(path: Path) -> tuple[int, int]:
    """Read width and height from the head of an image file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.size
    except UnidentifiedImageError as err:
        raise ValueError(f'`{path.name}` must be an image, but got {str(path)!r}: {err}.') from err

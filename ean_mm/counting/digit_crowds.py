"""Crowds of digits, written and read in the layout of ShanghaiTech: the same path, without a download."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..datasets.digit_scenes import SCENE_VERSION, SceneRecipe, compose_scene
from ..datasets.digit_segmentation import encode_image
from ..datasets.generated_files import complete_files
from ..registry import DATASETS
from ..structures.checks import require_whole
from .crowd_dataset import POINT_FOLDERS, CrowdDataset

JPEG_QUALITY = 95


@DATASETS.register_module()
class DigitCrowds(CrowdDataset):
    """Up to forty real scanned digits on a real photograph, and the centre of each.

    The files are written on first use into ``<data_root>/<split>_data/``, in the layout that
    :class:`CrowdDataset` reads, and are read from there by the same code. A stamp beside the folders
    names the recipe; other values in the same folder are refused. More scenes are added to those
    that are there; with fewer, the first ones are read. 'train', 'reward' and 'test' share no scan
    and no part of a photograph. Scenes are drawn by :func:`ean_mm.datasets.compose_scene`; every
    number of digits is as likely.

    Args:
        data_root: folder of the files.
        split: 'train', 'reward' or 'test'.
        num_scenes: size of the set, at least 1.
        size: side of a scene in pixels, at least 16.
        num_digits: least and greatest number of digits in a scene.
        digit_size: least and greatest side of a digit in pixels.
        seed: of the scenes, at least 0.
        pipeline: transforms, as configs or callables, beginning with LoadImageFromFile.
        indices: keeps the first so many scenes, or those listed.
        test_mode: whether a transform that returns None is an error.
        lazy_init: whether to put off writing and reading the files.

    Raises: ValueError if an argument is out of range or the folder holds other scenes.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        num_scenes: int = 500,
        size: int = 128,
        num_digits: Sequence[int] = (0, 40),
        digit_size: Sequence[int] = (12, 18),
        seed: int = 0,
        pipeline: Sequence[dict | Callable] = (),
        indices: int | Sequence[int] | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ):
        self.recipe = SceneRecipe(split, size, num_digits, digit_size, seed)
        self.num_scenes = require_whole('num_scenes', num_scenes, 1)
        super().__init__(data_root, split, pipeline, indices=indices, test_mode=test_mode, lazy_init=lazy_init)

    def find_images(self) -> list[Path]:
        """Write what is missing and return the images in the order of their numbers."""
        images, points = (self.split_folder / name for name in ('images', POINT_FOLDERS[0]))
        paths = [(images / f'IMG_{i}.jpg', points / f'GT_IMG_{i}.mat') for i in range(1, self.num_scenes + 1)]
        complete_files(
            Path(self.data_root) / f'digit_crowds_{self.split}.json',
            dict(format='ean_mm digit crowds', version=SCENE_VERSION, **asdict(self.recipe)),
            paths,
            self._encode,
        )
        return [image for image, _ in paths]

    def _encode(self, number: int) -> tuple[bytes, ...]:
        scene = compose_scene(self.recipe, number)
        return encode_image(scene.image, 'JPEG', quality=JPEG_QUALITY), encode_points(scene.points)


def encode_points(points: np.ndarray) -> bytes:
    """Encode points as ShanghaiTech's annotations do: a cell that holds a struct of location and number.

    Raises:
        ImportError: if scipy is not installed.
    """
    try:
        from scipy.io import savemat
    except ImportError as err:
        raise ImportError(
            f'`scipy` must be installed to write Matlab files, but got {str(err)!r}; run `pip install scipy`.'
        ) from err
    info = np.empty((1, 1), dtype=object)
    info[0, 0] = dict(location=points.astype(np.float64), number=np.uint16(len(points)))
    buffer = io.BytesIO()
    savemat(buffer, {'image_info': info}, do_compression=True)
    return buffer.getvalue()

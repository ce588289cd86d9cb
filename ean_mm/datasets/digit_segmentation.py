"""Digit scenes as a data set for semantic segmentation, in the folders that mmseg's own data sets read."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import numpy as np
from mmengine.dataset import BaseDataset

from ..registry import DATASETS
from ..structures.checks import require_whole
from .digit_scans import NUM_CLASSES
from .digit_scenes import SCENE_VERSION, SceneRecipe, compose_scene
from .generated_files import complete_files


@DATASETS.register_module()
class DigitScenes(BaseDataset):
    """Real scanned digits on real photographs; eleven classes: the background and the ten digits.

    The files are written on first use, as ``img_dir/<split>/000000.png`` and
    ``ann_dir/<split>/000000.png`` below ``data_root``, and are read from there ever after: by this
    class, whose samples are those of mmseg's ``BaseSegDataset``, and by ``BaseSegDataset`` itself
    (with ``img_suffix='.png'`` and this class's ``METAINFO``). A stamp beside the folders names the
    recipe; other values in the same folder are refused. More scenes are added to those that are
    there; with fewer, the first ones are read. 'train', 'reward' and 'test' share no scan and no part
    of a photograph. Scenes are drawn by :func:`ean_mm.datasets.compose_scene`.

    Args:
        data_root: folder of the files.
        split: 'train', 'reward' or 'test'.
        num_scenes: size of the set, at least 1.
        size: side of a scene in pixels, at least 16.
        num_digits: least and greatest number of digits in a scene.
        digit_size: least and greatest side of a digit in pixels.
        seed: of the scenes, at least 0.
        pipeline: transforms, as configs or callables, beginning with mmseg's LoadImageFromFile and
            LoadAnnotations.
        indices: keeps the first so many scenes, or those listed.
        test_mode: whether a transform that returns None is an error.
        lazy_init: whether to put off writing and listing the files.

    Raises: ValueError if an argument is out of range or the folder holds other scenes.
    """

    METAINFO: ClassVar[dict] = {
        'classes': ('background', *map(str, range(NUM_CLASSES))),
        'palette': [
            [0, 0, 0],
            *([round(255 * part) for part in colorsys.hsv_to_rgb(d / NUM_CLASSES, 1, 1)] for d in range(NUM_CLASSES)),
        ],
    }

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        num_scenes: int = 1000,
        size: int = 64,
        num_digits: Sequence[int] = (1, 4),
        digit_size: Sequence[int] = (22, 32),
        seed: int = 0,
        pipeline: Sequence[dict | Callable] = (),
        indices: int | Sequence[int] | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ):
        self.recipe = SceneRecipe(split, size, num_digits, digit_size, seed)
        self.num_scenes = require_whole('num_scenes', num_scenes, 1)
        super().__init__(
            metainfo=dict(label_map=None, reduce_zero_label=False),
            data_root=str(data_root),
            data_prefix=dict(img_path=f'img_dir/{split}', seg_map_path=f'ann_dir/{split}'),
            indices=indices,
            pipeline=list(pipeline),
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def load_data_list(self) -> list[dict]:
        """Write what is missing and list the scenes, in the order of their numbers."""
        folders = [Path(self.data_prefix[name]) for name in ('img_path', 'seg_map_path')]
        paths = [tuple(folder / f'{number:06}.png' for folder in folders) for number in range(self.num_scenes)]
        complete_files(
            Path(self.data_root) / f'digit_scenes_{self.recipe.split}.json',
            dict(format='ean_mm digit scenes', version=SCENE_VERSION, **asdict(self.recipe)),
            paths,
            self._encode,
        )
        return [
            dict(
                img_path=str(image),
                seg_map_path=str(labels),
                label_map=None,
                reduce_zero_label=False,
                seg_fields=[],
            )
            for image, labels in paths
        ]

    def _encode(self, number: int) -> tuple[bytes, ...]:
        scene = compose_scene(self.recipe, number)
        return encode_image(scene.image, 'PNG'), encode_image(scene.labels, 'PNG')


def encode_image(image: np.ndarray, kind: str, **options: int) -> bytes:
    """Encode an image as Pillow does.

    Args:
        image: (height, width, RGB) or (height, width), uint8.
        kind: 'PNG' or 'JPEG'.
        options: Pillow's, of that kind.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()

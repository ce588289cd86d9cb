"""Random images in place of a data set that is not there, and the first images of one that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from mmengine.dataset import BaseDataset

from ..registry import DATASETS, build_from
from ..structures.checks import require_whole

MAX_POINTS = 20
MAX_LABELS = 255  # of a label map, whose 255 stands for no class
_NOT_MAPS = ('with_bbox', 'with_mask', 'with_keypoints')  # what a LoadAnnotations may load beside label maps


@DATASETS.register_module()
class GeneratedImages(BaseDataset):
    """Random noise with random labels, label maps and points, to see whether a config runs at all; nothing is to be learned.

    Image i and all about it is a function of i alone. Transforms that load image files are left out of the pipeline; one that
    loads a label map (LoadAnnotations) gives a random one of the image's original size. Classes are called '0', '1', ...

    Args:
        num_images: how many.
        num_classes: labels are below it.
        size: height and width in pixels.
        pipeline: transforms, as configs or callables.

    Raises: ValueError if a number is below 1, or the pipeline loads anything else.

    >>> GeneratedImages(num_images=4, num_classes=10, size=8)[0]['img'].shape
    (8, 8, 3)
    """

    def __init__(
        self,
        num_images: int,
        num_classes: int,
        size: int,
        pipeline: Sequence[dict | Callable] = (),
    ):
        for name, value in dict(num_images=num_images, num_classes=num_classes, size=size).items():
            require_whole(name, value, 1)
        require_generable(pipeline)
        self.num_images, self.num_classes, self.size = num_images, num_classes, size
        give_map = partial(_give_label_map, num_classes=min(num_classes, MAX_LABELS))
        super().__init__(
            metainfo=dict(classes=tuple(map(str, range(num_classes)))),
            serialize_data=False,
            pipeline=[give_map if _loads_maps(step) else step for step in pipeline if not loads_files(step)],
        )

    def load_data_list(self) -> list[dict]:
        return [dict(gt_label=index % self.num_classes) for index in range(self.num_images)]

    def get_data_info(self, idx: int) -> dict:
        info = super().get_data_info(idx)
        shape = (self.size, self.size)
        generator = np.random.default_rng(info['sample_idx'])
        image = generator.integers(256, size=(*shape, 3), dtype=np.uint8)
        points = self.size * generator.random((generator.integers(MAX_POINTS + 1), 2), dtype=np.float32)
        return {**info, 'img': image, 'points': points, 'img_shape': shape, 'ori_shape': shape}


@DATASETS.register_module()
class FirstImages:
    """The first images of a data set, for a quick check of a config.

    Args:
        dataset: config of the data set.
        num_images: at most so many.
    """

    def __init__(self, dataset: dict, num_images: int):
        self.dataset = build_from(DATASETS, dataset, 'dataset')
        self.num_images = num_images
        self.metainfo = self.dataset.metainfo

    def full_init(self) -> None:
        """Read the data set's index, if it has not been read."""
        self.dataset.full_init()

    def __len__(self) -> int:
        return min(self.num_images, len(self.dataset))

    def __getitem__(self, index: int) -> dict:
        return self.dataset[index]


def loads_files(step: dict | Callable) -> bool:
    """Whether a transform reads an image file."""
    return _bare_type(step) == 'LoadImageFromFile'


def require_generable(pipeline: Sequence[dict | Callable]) -> None:
    """Refuse transforms that load what a generated image has not: boxes, masks, embeddings.

    Raises:
        ValueError: naming the first of them.
    """
    for step in pipeline:
        if _bare_type(step).startswith('Load') and not (loads_files(step) or _loads_maps(step)):
            raise ValueError(
                f'`pipeline` must load nothing but images and label maps to run on random images, but got {step!r}; '
                'put the data in its place.'
            )


def _loads_maps(step: dict | Callable) -> bool:
    return (
        isinstance(step, dict)
        and _bare_type(step) == 'LoadAnnotations'
        and not any(step.get(name) for name in _NOT_MAPS)
    )


def _bare_type(step: dict | Callable) -> str:
    return str(step.get('type', '')).rpartition('.')[2] if isinstance(step, dict) else ''


def _give_label_map(results: dict, num_classes: int) -> dict:
    """Stand for mmseg's LoadAnnotations."""
    generator = np.random.default_rng((results['sample_idx'], 1))
    results['gt_seg_map'] = generator.integers(num_classes, size=results['ori_shape'], dtype=np.uint8)
    results['seg_fields'] = [*results.get('seg_fields', ()), 'gt_seg_map']
    return results

"""Random images in place of a data set that is not there, and the first images of one that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from mmengine.dataset import BaseDataset

from ..registry import DATASETS, build_from
from ..structures.checks import require_whole


@DATASETS.register_module()
class GeneratedImages(BaseDataset):
    """Random noise with random labels, to see whether a config runs at all; nothing can be learned from it.

    Image i is a function of i alone. Transforms that load image files are left out of the pipeline.

    Args:
        num_images: how many.
        num_classes: labels are below it.
        size: height and width in pixels.
        pipeline: transforms, as configs or callables.

    Raises: ValueError if a number is below 1.

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
        self.num_images, self.num_classes, self.size = num_images, num_classes, size
        super().__init__(serialize_data=False, pipeline=[step for step in pipeline if not loads_files(step)])

    def load_data_list(self) -> list[dict]:
        return [dict(gt_label=index % self.num_classes) for index in range(self.num_images)]

    def get_data_info(self, idx: int) -> dict:
        info = super().get_data_info(idx)
        shape = (self.size, self.size)
        generator = np.random.default_rng(info['sample_idx'])
        image = generator.integers(256, size=(*shape, 3), dtype=np.uint8)
        return {**info, 'img': image, 'img_shape': shape, 'ori_shape': shape}


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
    return isinstance(step, dict) and str(step.get('type', '')).endswith('LoadImageFromFile')

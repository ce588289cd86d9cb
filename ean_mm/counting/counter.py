"""A counting network: backbone and density head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..registry import MODELS, build_from
from ..structures.checks import require_one_of

MODES = ('tensor', 'loss', 'predict')


@MODELS.register_module()
class Counter(BaseModel):
    """Count what is on an image: the sum of the density map that a head makes of the backbone's features.

    A model on mmengine's base alone, so that counting needs no package of segmentation. Images may have any size; those of
    a batch are filled up to the largest, and a prediction is cut to its own image again.

    Args:
        backbone: config of the backbone, mostly an ``ean_mm.EANBackbone``; it returns a sequence of maps.
        head: config of the head, mostly an ``ean_mm.DensityHead``.
        data_preprocessor: arguments of mmengine's ``ImgDataPreprocessor`` (mean, std, bgr_to_rgb, ...), or a config with
            another ``type``.
        init_cfg: an mmengine initialisation config.

    Shape: inputs: (N, 3, H, W), normalised; 'tensor' gives the density (N, 1, H, W), 'loss' a dict of losses, 'predict' the
        samples with ``pred_density`` and ``pred_count``.
    Raises: ValueError if a config has no type or an unknown one, or the mode is none of these.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ):
        preprocessor = {'type': 'mmengine.ImgDataPreprocessor', **(data_preprocessor or {})}
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.backbone = build_from(MODELS, backbone, 'backbone')
        self.head = build_from(MODELS, head, 'head')

    def forward(
        self, inputs: Tensor, data_samples: Sequence[BaseDataElement] | None = None, mode: str = 'tensor'
    ) -> Any:
        require_one_of('mode', mode, MODES)
        features = self.backbone(inputs)
        height, width = inputs.shape[-2:]
        if mode == 'tensor':
            return self.head(features, (height, width))
        if mode == 'loss':
            return self.head.loss(features, (height, width), data_samples)
        return self.head.predict(features, (height, width), data_samples)

"""The head that turns features into a density map as large as the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS
from ..structures.checks import require_whole

Size = tuple[int, int]


@MODELS.register_module()
class DensityHead(BaseModule):
    """Two 1 x 1 convolutions to one channel, each with ReLU, repeated up to the size of the image.

    ``z = up(w2 * relu(w1 * x))``, ``density = relu(z) / scale`` in people per pixel of the image; ``up`` repeats every value
    on ``upsample`` x ``upsample`` pixels, so a cell of the last map stands for ``upsample^2 / scale`` times its value in
    people, and the count is the sum over the pixels. What sticks out of the image is cut off. The density is float32 under
    autocast as well: most of it is too small for half precision.
    ``loss = mean((y - scale * target)^2)`` over all pixels of the batch, with ``y = z`` where the target is above 0 and
    ``y = relu(z)`` elsewhere. Outside a smaller image of the batch the target is 0.
    Source: the ResNet-50 counter of the C^3 framework (1024 to 128 to 1, ReLU after both, eightfold by repetition, weights
    from N(0, 0.01), mean squared error on densities times 100). Differs: that loss has ``y = relu(z)`` everywhere, so a head
    that has once become 0 on a whole batch, as images without people make it, gets no gradient and stays 0.

    Args:
        in_channels: C, the width of the last of the backbone's outputs.
        hidden_channels: width between the two convolutions.
        upsample: stride of that output.
        scale: what densities are multiplied by in the loss; it gives the last map values near 1.
        init_cfg: an mmengine initialisation config.

    Shape: features: the last is (N, C, ceil(H / upsample), ceil(W / upsample)); density: (N, 1, H, W).
    Cost: h * (C + 1) MACs per cell, h = ``hidden_channels``; h * (C + 2) + 1 parameters.
    Raises: ValueError if an argument is out of range.

    >>> DensityHead(in_channels=16, upsample=4)((torch.ones(2, 16, 3, 5),), (10, 20)).shape
    torch.Size([2, 1, 10, 20])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 128,
        upsample: int = 8,
        scale: float = 100.0,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg or dict(type='Normal', layer='Conv2d', std=0.01))
        self.upsample = require_whole('upsample', upsample, 1)
        if not (isinstance(scale, int | float) and 0 < scale < math.inf):
            raise ValueError(f'`scale` must be a finite number above 0, but got {scale!r}.')
        self.scale = scale
        in_channels = require_whole('in_channels', in_channels, 1)
        self.conv1 = nn.Conv2d(in_channels, require_whole('hidden_channels', hidden_channels, 1), 1)
        self.conv2 = nn.Conv2d(hidden_channels, 1, 1)

    def forward(self, features: Sequence[Tensor], size: Size) -> Tensor:
        """Return the density of images of ``size`` (height, width).

        Raises:
            ValueError: if the features have another stride than ``upsample``.
        """
        return F.relu(self._spread(features, size)) / self.scale

    def loss(
        self, features: Sequence[Tensor], size: Size, data_samples: Sequence[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Return the loss against the ``gt_density`` of the samples."""
        values = self._spread(features, size)
        targets = torch.zeros_like(values)
        for target, sample in zip(targets, data_samples, strict=True):
            data = _require_density(sample)
            target[:, : data.shape[-2], : data.shape[-1]] = data
        outputs = torch.where(targets > 0, values, F.relu(values))
        return dict(loss_density=F.mse_loss(outputs, self.scale * targets))

    def predict(
        self, features: Sequence[Tensor], size: Size, data_samples: Sequence[BaseDataElement] | None = None
    ) -> list[BaseDataElement]:
        """Return the samples with ``pred_density``, cut to each image's ``img_shape``, and its sum ``pred_count``."""
        density = self(features, size).detach()
        samples = data_samples or [BaseDataElement() for _ in density]
        for own, sample in zip(density, samples, strict=True):
            height, width = sample.get('img_shape', size)
            sample.pred_density = PixelData(data=own[:, :height, :width])
            sample.pred_count = sample.pred_density.data.sum().item()
        return list(samples)

    def _spread(self, features: Sequence[Tensor], size: Size) -> Tensor:
        """The last map before its ReLU, on every pixel of the image."""
        x = features[-1]
        self._require_stride(x, size)
        cells = self.conv2(F.relu(self.conv1(x)))
        cells = cells.to(torch.promote_types(cells.dtype, torch.float32))
        return F.interpolate(cells, scale_factor=float(self.upsample), mode='nearest')[..., : size[0], : size[1]]

    def _require_stride(self, x: Tensor, size: Size) -> None:
        expected = tuple(-(-side // self.upsample) for side in size)
        if tuple(x.shape[-2:]) != expected:
            raise ValueError(
                f'`upsample` must be the stride of the features, but got {self.upsample!r} for features of '
                f'{tuple(x.shape[-2:])} on images of {tuple(size)}; a backbone that rounds sizes down needs '
                '`pad_size_divisor` in the data preprocessor.'
            )


def _require_density(sample: BaseDataElement) -> Tensor:
    if 'gt_density' not in sample:
        raise ValueError(
            f'`data_samples` must have a gt_density in training, but got {sorted(sample.keys())}; '
            'give the train pipeline PackCountInputs with a sigma.'
        )
    return sample.gt_density.data

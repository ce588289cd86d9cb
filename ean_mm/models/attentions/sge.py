"""Spatial group-wise enhancement, written from its formula."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ...structures.checks import require_whole
from .base import AttentionModule


@MODELS.register_module()
class SGE(AttentionModule):
    """Spatial group-wise enhancement: each group of channels gates its positions by how much they agree with its mean.

    Per group, with s = sum_c x_c * mean_hw(x_c) a map of H x W and n = H*W:
    ``y = x * sigmoid(w * (s - mean(s)) / (std(s) + eps) + b)``; std is the unbiased one (n - 1; a single position has none
    and counts as 0), w starts at 0 and b at 1, so a new module multiplies by sigmoid(1) = 0.7310586.
    Source: Li et al., arXiv:1905.09646; constants as used by arXiv:2011.14058.

    Args:
        in_channels: C, the width of the residual branch at this stage.
        groups: G >= 1, a divisor of C.
        eps: added to the standard deviation.
        init_cfg: an mmengine initialisation config.

    Shape: x, y: (N, C, H, W) with H, W >= 1.
    Cost: no matrix product (about 4*C*H*W element-wise operations per image and call); 2*G parameters.
    Raises: ValueError if G does not divide C.

    >>> SGE(in_channels=8, groups=4)(torch.ones(2, 8, 5, 5))[0, 0, 0, 0].item()  # doctest: +ELLIPSIS
    0.73105...
    """

    def __init__(
        self,
        in_channels: int,
        groups: int = 64,
        eps: float = 1e-5,
        init_cfg: dict | None = None,
    ):
        super().__init__(in_channels, init_cfg)
        require_whole('groups', groups, 1)
        if in_channels % groups:
            raise ValueError(
                f'`groups` must divide the {in_channels} channels of the stage, but got {groups!r}; '
                'choose a divisor of the width of every stage.'
            )
        self.groups = groups
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(1, groups, 1, 1))
        self.bias = nn.Parameter(torch.ones(1, groups, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        grouped = x.reshape(batch, self.groups, -1, height, width)
        similarity = (grouped * grouped.mean((3, 4), keepdim=True)).sum(2)
        centred = similarity - similarity.mean((2, 3), keepdim=True)
        variance = centred.square().sum((2, 3), keepdim=True) / max(height * width - 1, 1)
        gate = torch.sigmoid(centred / (_safe_sqrt(variance) + self.eps) * self.weight + self.bias)
        return (grouped * gate[:, :, None]).reshape(x.shape)


def _safe_sqrt(variance: Tensor) -> Tensor:
    """The square root with a zero gradient at zero, where a constant map would otherwise give NaN."""
    is_zero = variance == 0
    return torch.where(is_zero, variance, torch.where(is_zero, 1.0, variance).sqrt())

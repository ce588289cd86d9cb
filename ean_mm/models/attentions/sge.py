"""Spatial group-wise enhancement, written from its formula."""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ...structures.checks import require_number, require_whole
from .base import GatedAttention


@MODELS.register_module()
class SGE(GatedAttention):
    """Spatial group-wise enhancement: each group of channels gates its positions by how much they agree with its mean.

    Per group, with s = sum_c x_c * mean_hw(x_c) a map of H x W and n = H*W:
    ``y = x * sigmoid(w * (s - mean(s)) / (std(s) + eps) + b)``; std is the unbiased one (n - 1; a single position has none
    and counts as 0), w starts at 0 and b at 1, so a new module multiplies by sigmoid(1) = 0.7310586.
    Source: Li et al., arXiv:1905.09646; constants as used by arXiv:2011.14058. Differs: with ``gate_init='identity'``, which
    neither paper has, b starts at 0 too and the gate is 2 * sigmoid(...), so that a new module returns its input.

    Args:
        in_channels: C, the width of the residual branch at this stage.
        groups: G >= 1, a divisor of C.
        eps: added to the standard deviation, above 0.
        gate_init: 'paper' or 'identity'.
        init_cfg: an mmengine initialisation config.

    Shape: x, y: (N, C, H, W) with H, W >= 1.
    Cost: per image and call, no MACs and 4*C*H*W + 8*G*H*W + 6*G element-wise operations (G*H*W more with 'identity');
        2*G parameters.
    Raises: ValueError if G does not divide C, ``eps`` is not above 0, or ``gate_init`` is none of the two.

    >>> SGE(in_channels=8, groups=4)(torch.ones(2, 8, 5, 5))[0, 0, 0, 0].item()  # doctest: +ELLIPSIS
    0.73105...
    """

    zero_at_identity = ('weight', 'bias')
    identity_scale = 2

    def __init__(
        self,
        in_channels: int,
        groups: int = 64,
        eps: float = 1e-5,
        gate_init: str = 'paper',
        init_cfg: dict | None = None,
    ):
        super().__init__(in_channels, gate_init, init_cfg)
        require_whole('groups', groups, 1)
        if in_channels % groups:
            raise ValueError(
                f'`groups` must divide the {in_channels} channels of the stage, but got {groups!r}; '
                'choose a divisor of the width of every stage.'
            )
        self.groups = groups
        self.eps = require_number('eps', eps, least=sys.float_info.min, rule='a positive number')
        self.weight = nn.Parameter(torch.zeros(1, groups, 1, 1))
        self.bias = nn.Parameter(torch.ones(1, groups, 1, 1))
        self.start_gate()

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        grouped = x.reshape(batch, self.groups, -1, height, width)
        similarity = (grouped * grouped.mean((3, 4), keepdim=True)).sum(2)
        centred = similarity - similarity.mean((2, 3), keepdim=True)
        variance = centred.square().sum((2, 3), keepdim=True) / max(height * width - 1, 1)
        gate = torch.sigmoid(centred / (_safe_sqrt(variance) + self.eps) * self.weight + self.bias)
        return (grouped * self.scale_gate(gate)[:, :, None].to(x.dtype)).reshape(x.shape)  # autocast sums in float32


def _safe_sqrt(variance: Tensor) -> Tensor:
    """The square root with a zero gradient at zero, where a constant map would otherwise give NaN."""
    is_zero = variance == 0
    return torch.where(is_zero, variance, torch.where(is_zero, 1.0, variance).sqrt())

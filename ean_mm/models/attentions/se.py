"""Squeeze-and-excitation (arXiv 1709.01507)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ...structures.checks import require_whole
from .base import ChannelAttention, GatedAttention


@MODELS.register_module()
class SE(ChannelAttention, GatedAttention):
    """Squeeze-and-excitation: rescale each channel by a gate read from its global mean.

    ``y = x * sigmoid(W2 @ relu(W1 @ mean_hw(x) + b1) + b2)``; W1: (h, C), W2: (C, h), h = max(C // r, min_channels).
    Source: Hu et al., arXiv:1709.01507; biases as in arXiv:2011.14058. Differs: with ``gate_init='identity'``, which neither
    paper has, W2 and b2 start at zero and the gate is 2 * sigmoid(...), so that a new module returns its input.

    Args:
        in_channels: C, the width of the residual branch at this stage.
        reduction: r >= 1, how much narrower the bottleneck is than C.
        min_channels: least width of the bottleneck.
        gate_init: 'paper' or 'identity'.
        init_cfg: an mmengine initialisation config.

    Shape: x, y: (N, C, H, W) with H, W >= 1.
    Cost: per image and call, 2*C*h MACs and 2*C*H*W + h + C element-wise operations (C more with 'identity');
        2*C*h + h + C parameters.
    Raises: ValueError if a number is below 1 or ``gate_init`` is none of the two.

    >>> SE(in_channels=8)(torch.ones(2, 8, 5, 5)).shape
    torch.Size([2, 8, 5, 5])
    """

    zero_at_identity = ('excite.weight', 'excite.bias')
    identity_scale = 2

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        min_channels: int = 1,
        gate_init: str = 'paper',
        init_cfg: dict | None = None,
    ):
        super().__init__(in_channels, gate_init, init_cfg)
        require_whole('reduction', reduction, 1)
        require_whole('min_channels', min_channels, 1)
        self.hidden_channels = max(in_channels // reduction, min_channels)
        self.squeeze = nn.Linear(in_channels, self.hidden_channels)
        self.excite = nn.Linear(self.hidden_channels, in_channels)
        self.start_gate()

    def gate_from_mean(self, mean: Tensor) -> Tensor:
        hidden = torch.relu(self.squeeze(mean))
        return self.scale_gate(torch.sigmoid(self.excite(hidden)))

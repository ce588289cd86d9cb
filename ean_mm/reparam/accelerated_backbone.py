"""A backbone as it is deployed: rewritten, for inference only."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..models.hidden_level import HiddenLevel
from ..registry import MODELS, build_from
from .rewriting import rewrite

_SIDE = 224  # of the image on which the forward pass is read; attention of other libraries may want a certain divisor


@MODELS.register_module()
class AcceleratedBackbone(HiddenLevel, BaseModule):
    """A backbone that computes what the given one does in evaluation mode, in fewer passes over its maps.

    Norms are part of the convolutions in front of them, so its weights are not those of the backbone: tools/deploy.py writes
    them, together with the config that names this type. It stays in evaluation mode and trains nothing. See ``rewrite``.

    Args:
        backbone: config of the backbone, wrapped or bare.
        init_cfg: an mmengine initialisation config.

    Shape: as the backbone's.
    Cost: the backbone's without its batch norms; of an attention that reads means, the pooling of a map as narrow as the input
        of the branch's last 1x1 convolution, and no pass for the product with the gate.
    Raises:
        GraphError: if the backbone's forward pass is no fixed graph.

    >>> net = AcceleratedBackbone(dict(type='ean_mm.ResNetCifar', depth=20))
    >>> any('bn' in key for key in net.state_dict())
    False
    """

    hidden_child = 'rewritten'

    def __init__(self, backbone: dict, init_cfg: dict | list[dict] | None = None):
        super().__init__(init_cfg=init_cfg)
        self.rewritten: nn.Module = rewrite(build_from(MODELS, backbone, 'backbone'), torch.zeros(1, 3, _SIDE, _SIDE))
        self.eval()

    @classmethod
    def of(cls, backbone: nn.Module) -> AcceleratedBackbone:
        """Rewrite a trained backbone, which is left as it is."""
        tensor = next(backbone.parameters())
        self = cls.__new__(cls)
        super(AcceleratedBackbone, self).__init__()
        self.rewritten = rewrite(backbone, torch.zeros(1, 3, _SIDE, _SIDE, device=tensor.device, dtype=tensor.dtype))
        return self.eval()

    def forward(self, x: Tensor) -> Any:
        return self.rewritten(x)

    def train(self, mode: bool = True) -> AcceleratedBackbone:
        """Stay in evaluation mode, whatever is asked for."""
        return super().train(False)

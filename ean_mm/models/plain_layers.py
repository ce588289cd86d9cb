"""Which layers compute with their weight as it stands."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrize import is_parametrized


def is_plain_conv(module: nn.Module) -> bool:
    """Whether a module convolves with its weight as it stands; a weight that is normalised first does not scale."""
    if not isinstance(module, nn.Conv2d) or computes_its_weight(module):
        return False
    mmcv_wrapper = type(module).__module__ == 'mmcv.cnn.bricks.wrappers'  # differs for empty batches alone
    return mmcv_wrapper or type(module).forward is nn.Conv2d.forward


def computes_its_weight(module: nn.Module) -> bool:
    """Whether a weight or spectral norm of torch, of the old kind or the new, makes the weight anew in every pass."""
    return is_parametrized(module) or bool(module._forward_pre_hooks)

"""Algebra of weights: what may be moved from one layer into another without changing the function."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ..models.plain_layers import computes_its_weight, is_plain_conv

_ACTIVATIONS_OF_NORMS = ('drop', 'act')  # children that the norms of timm may end in


def scale_rows(weight: Tensor, scale: Tensor) -> Tensor:
    """Return ``weight`` with output channel c multiplied by ``scale[c]``, computed in float64.

    Args:
        weight: of a norm (C,), of a convolution (C, ...), or a bias (C,).
        scale: (C,).

    >>> scale_rows(torch.ones(2, 1), torch.tensor([1.0, 3.0]))
    tensor([[1.],
            [3.]])
    """
    shape = (-1, *[1] * (weight.dim() - 1))
    return (weight.double() * scale.double().view(shape)).to(weight.dtype)


def scale_output(layer: Any, scale: Tensor) -> None:
    """Change an affine layer in place so that it returns what it did, times ``scale`` per channel.

    ``weight' = scale * weight``, ``bias' = scale * bias``; running statistics stay as they are.
    Source: arXiv:2304.06345, the fold of v into a batch norm.

    Args:
        layer: what :func:`find_affine` has found.
        scale: (C,).
    """
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            if parameter is not None:
                parameter.copy_(scale_rows(parameter, scale))


def fold_norm(conv: nn.Conv2d, norm: _BatchNorm) -> nn.Conv2d:
    """Return one convolution that computes ``norm(conv(x))`` of evaluation mode; both arguments are left as they are.

    Args:
        conv: what the norm follows.
        norm: a batch norm with running statistics.
    """
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(),
        None if conv.bias is None else conv.bias.double(),
        cast(Tensor, norm.running_mean).double(),
        cast(Tensor, norm.running_var).double(),
        norm.eps,
        None if norm.weight is None else norm.weight.double(),
        None if norm.bias is None else norm.bias.double(),
    )
    fused = nn.utils.skip_init(
        nn.Conv2d,
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        padding_mode=conv.padding_mode,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    with torch.no_grad():
        fused.weight.copy_(weight)
        fused.bias.copy_(bias)
    return fused.requires_grad_(False).eval()


def is_known_norm(norm: nn.Module) -> bool:
    """Whether a batch norm computes what torch's does in evaluation mode, with an activation behind it at most."""
    is_timms = type(norm).__module__ == 'timm.layers.norm_act' and hasattr(norm, 'act')
    return is_timms or type(norm).forward in (nn.BatchNorm2d.forward, nn.SyncBatchNorm.forward)


def find_affine(module: Any) -> nn.Module | None:
    """Return the layer inside ``module`` whose weight and bias scale with the module's output, channel by channel.

    A norm with weights, a convolution or a linear layer is that layer itself; of a convolution with its norm, or a sequence,
    it is the last one. None if there is no such layer, or an activation stands behind it.
    """
    if isinstance(module, (_BatchNorm, nn.GroupNorm, nn.LayerNorm)):
        has_weights = module.weight is not None and module.bias is not None
        return module if has_weights and not _has_activation(module) else None
    if is_plain_conv(module) or (type(module) is nn.Linear and not computes_its_weight(module)):
        return module
    if hasattr(module, 'with_activation'):  # mmcv's ConvModule
        ends_in_norm = module.with_norm and module.order.index('norm') > module.order.index('conv')
        return None if module.with_activation else find_affine(module.norm if ends_in_norm else module.conv)
    if isinstance(module, nn.Sequential):
        kept = [child for child in module if not isinstance(child, nn.Identity)]
        return find_affine(kept[-1]) if kept else None
    if isinstance(getattr(module, 'bn', None), _BatchNorm) and hasattr(module, 'conv'):  # timm's ConvNormAct
        return find_affine(module.bn)
    return None


def _has_activation(norm: nn.Module) -> bool:
    ends = [getattr(norm, name, None) for name in _ACTIVATIONS_OF_NORMS]
    return not all(end is None or isinstance(end, nn.Identity) for end in ends)

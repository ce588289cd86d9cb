"""Attention-alike structural re-parameterisation (arXiv 2304.06345): attention that costs nothing once it is deployed."""

from __future__ import annotations

import functools

import torch
from mmengine.model import ModuleList
from torch import Tensor, nn

from ...registry import MODELS, build_from
from ...structures.checks import require_number, require_whole
from ...structures.shorten import shorten
from .base import ChannelAttention, reads_of


@MODELS.register_module()
class ASR(ChannelAttention):
    """ASR: a channel attention reads a learnt vector in place of the image, so its gate folds into the layer before it.

    ``y = x * v``, ``v = prod_i T_i(psi_i)``: T_i is the gate of a channel attention, psi_i a parameter of shape (1, C, 1, 1).
    v is the same for every image: trained with attention, a norm before it takes v into its weight and bias for inference.
    Source: arXiv:2304.06345; psi starts at 0.1 and decays like any weight. Differs: T may be any attention that gates channels
    by their means, one with a state starts from zero in every call, and v is not kept between calls.

    Args:
        in_channels: C, the width of the residual branch at this stage.
        attention: config of T: ``ean_mm.SE``, ``ean_mm.DIA``, or timm's 'se', 'ese' and 'eca' kinds.
        num_insertions: how many pairs of psi and T, each with weights of its own, are multiplied.
        initial_value: where every element of psi starts.
        init_cfg: an mmengine initialisation config.

    Shape: x, y: (N, C, H, W) with H, W >= 1.
    Cost: per image, C*H*W element-wise operations; per call, whatever the batch, what the gates compute for one image
        (of SE 2*C*h MACs and h + C element-wise operations each) and C * (num_insertions - 1) to multiply them; C parameters
        and those of T per insertion. Folded into the layer before it: nothing.
    Raises:
        ValueError: if a number is out of range, or T is no attention that reads the mean of its input alone.

    >>> asr = ASR(in_channels=8, attention=dict(type='ean_mm.SE', reduction=4))
    >>> torch.equal(asr(torch.ones(2, 8, 5, 5))[0, :, 0, 0], asr.constant_gate())
    True
    """

    reads = 'nothing'

    def __init__(
        self,
        in_channels: int,
        attention: dict,
        num_insertions: int = 1,
        initial_value: float = 0.1,
        init_cfg: dict | None = None,
    ):
        super().__init__(in_channels, init_cfg)
        num_insertions = require_whole('num_insertions', num_insertions, 1)
        start = float(require_number('initial_value', initial_value, rule='a finite number'))
        self.psi = nn.ParameterList(torch.full((1, in_channels, 1, 1), start) for _ in range(num_insertions))
        self.attention = ModuleList(
            build_from(MODELS, attention, 'attention', in_channels=in_channels) for _ in range(num_insertions)
        )
        _check_it_reads_the_mean(self.attention[0], attention)

    def constant_gate(self) -> Tensor:
        """v, (C,): what each channel of any image is multiplied by."""
        pairs = zip(self.psi, self.attention, strict=True)
        return functools.reduce(torch.mul, [gated.gate_from_mean(psi.flatten(1))[0] for psi, gated in pairs])

    def gate_from_mean(self, mean: Tensor) -> Tensor:
        return self.constant_gate().expand_as(mean)

    def gate(self, x: Tensor) -> Tensor:
        return self.constant_gate().view(1, -1, 1, 1)


def _check_it_reads_the_mean(attention: nn.Module, cfg: dict) -> None:
    if any(isinstance(module, ASR) for module in attention.modules()):
        raise ValueError(
            f'`attention` must read its input, but got {shorten(dict(cfg))}, which is an ASR or holds one; '
            'give what that one is made of, and num_insertions=2 for two in a row.'
        )
    if reads_of(attention) != 'mean':
        raise ValueError(
            "`attention` must gate each channel by the means of the channels alone (ean_mm.SE, ean_mm.DIA, timm's se, ese "
            f'or eca), but got {shorten(dict(cfg))}; what depends on positions or on the batch is no constant per channel.'
        )

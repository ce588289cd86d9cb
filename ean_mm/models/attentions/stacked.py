"""Several attentions at one site, such as ASR before SE."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import ModuleList
from torch import Tensor, nn

from ...registry import MODELS, build_from
from ...structures.shorten import shorten
from .asr import ASR
from .base import AttentionModule, changeable, is_recurrent, reads_of, step_from_mean


@MODELS.register_module()
class Stacked(AttentionModule):
    """Attentions applied in turn: ``y = A_k(...A_2(A_1(x)))``.

    Where every one of them reads no more than a mean, the mean of what the next one sees follows from that of x, and the
    map is read and multiplied once: ``g_i = A_i's gate at mean_hw(x) * g_1 * ... * g_{i-1}``, ``y = x * (g_1 * ... * g_k)``.
    Source: arXiv:2304.06345 has ASR with SE behind it (``attentions=[dict(type='ean_mm.ASR', ...), dict(type='ean_mm.SE')]``).

    Args:
        in_channels: C, the width of the residual branch at this stage.
        attentions: one config or more; ASRs come first, where they can be folded.
        init_cfg: an mmengine initialisation config.

    Shape: x, y: (N, C, H, W), with H and W as all of them want them.
    Cost: what the attentions cost; but C*H*W element-wise operations for one mean and C*H*W for one product in all, and
        C for each product of gates or of gate and mean, where all of them read a mean. An ASR's gate is computed once per
        call, whatever the batch.
    Raises: ValueError if there is none, one is unknown or a Stacked itself, or an ASR follows another attention.

    >>> asr = dict(type='ean_mm.ASR', attention=dict(type='ean_mm.SE'))
    >>> both = Stacked(in_channels=8, attentions=[asr, dict(type='ean_mm.SE')])
    >>> constant, rest = both.split()
    >>> constant.shape, type(rest).__name__
    (torch.Size([8]), 'SE')

    Attributes:
        reads: 'nothing' if all read nothing, else 'mean' if none needs more, else 'map'.
        is_recurrent: whether one of them hands on a state; the state of the stack is the tuple of theirs.
    """

    def __init__(self, in_channels: int, attentions: Sequence[dict], init_cfg: dict | None = None):
        super().__init__(in_channels, init_cfg)
        if not isinstance(attentions, Sequence) or isinstance(attentions, str) or not attentions:
            raise ValueError(f'`attentions` must be a list of one config or more, but got {attentions!r}.')
        built = [build_from(MODELS, cfg, 'attentions', in_channels=in_channels) for cfg in attentions]
        _check_order(built, attentions)
        self._take(built)

    def _take(self, attentions: Sequence[nn.Module]) -> None:
        self.attentions = ModuleList(attentions)
        found = {reads_of(attention) for attention in attentions}
        self.reads = next(reads for reads in ('map', 'mean', 'nothing') if reads in found)
        self.is_recurrent = any(map(is_recurrent, attentions))
        self.bound_to = next(filter(None, (getattr(each, 'bound_to', '') for each in attentions)), '')

    def constant_gate(self) -> Tensor:
        """The product of all gates, (C,), where all read nothing."""
        return functools.reduce(torch.mul, [attention.constant_gate() for attention in self.attentions])

    def gate_from_mean(self, mean: Tensor) -> Tensor:
        """The product of all gates, (N, C), where none reads more than a mean; states start anew."""
        return self.step_from_mean(mean, None)[0]

    def step_from_mean(self, mean: Tensor, carry: tuple | None) -> tuple[Tensor, tuple]:
        """The product of all gates, (N, C), and the advanced states."""
        gates: list[Tensor] = []
        states = []
        for attention, state in self._with_states(carry):
            gate, state = step_from_mean(attention, mean * gates[-1] if gates else mean, state)
            gates.append(gates[-1] * gate if gates else gate)  # of all so far
            states.append(state)
        return gates[-1], tuple(states)

    def step(self, x: Tensor, carry: tuple | None) -> tuple[Tensor, tuple]:
        """Apply the attentions in turn and advance their states; ``carry=None`` starts them anew."""
        if self.reads != 'map':
            gate, carry = self.step_from_mean(x.mean((2, 3)), carry)
            return x * gate[:, :, None, None], carry
        states = []
        for attention, state in self._with_states(carry):
            x, state = attention.step(x, state) if is_recurrent(attention) else (attention(x), state)
            states.append(state)
        return changeable(x), tuple(states)

    def forward(self, x: Tensor) -> Tensor:
        if self.reads == 'nothing':
            return x * self.constant_gate()[:, None, None]
        return self.step(x, None)[0]

    def split(self) -> tuple[Tensor | None, nn.Module | None]:
        """The product of the gates that are the same for every image, and the rest as one module; None for an empty part.

        ``forward(x)`` is ``rest(x * constant[:, None, None])``. The rest is made of the modules themselves, not of copies.
        """
        constant = [attention.constant_gate() for attention in self.attentions if reads_of(attention) == 'nothing']
        others = [attention for attention in self.attentions if reads_of(attention) != 'nothing']
        gate = functools.reduce(torch.mul, constant) if constant else None
        return gate, _stack(self.in_channels, others)

    def _with_states(self, carry: tuple | None) -> list[tuple[Any, Any]]:
        return list(zip(self.attentions, carry or [None] * len(self.attentions), strict=True))


def _stack(in_channels: int, attentions: list[nn.Module]) -> nn.Module | None:
    """The modules as one: none, the only one, or a Stacked that refers to them."""
    if len(attentions) <= 1:
        return attentions[0] if attentions else None
    stacked = Stacked.__new__(Stacked)  # its constructor would build modules of its own
    AttentionModule.__init__(stacked, in_channels)
    stacked._take(attentions)
    return stacked


def _check_order(attentions: Sequence[nn.Module], cfgs: Sequence[dict]) -> None:
    has_reader = False
    for attention, cfg in zip(attentions, cfgs, strict=True):
        if isinstance(attention, Stacked):
            raise ValueError(f'`attentions` must be one flat list, but got {shorten(dict(cfg))} inside of it.')
        if has_reader and any(isinstance(module, ASR) for module in attention.modules()):
            raise ValueError(
                f'`attentions` must have each ean_mm.ASR in front, but got {shorten(dict(cfg))} behind an attention that '
                'reads its input, where no layer is left to fold it into.'
            )
        has_reader = has_reader or reads_of(attention) != 'nothing'

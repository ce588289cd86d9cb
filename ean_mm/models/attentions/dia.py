"""Dense-and-implicit attention (arXiv 1905.10671): one recurrent unit for all blocks of a stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ...structures.checks import require_whole
from .base import GatedAttention

Carry = tuple[Tensor, Tensor]


@MODELS.register_module()
class DIA(GatedAttention):
    """DIA-LSTM: a light LSTM reads the pooled branch of each block in turn, and its output gates the channels.

    ``i, f, g, o = split(M_x(mean_hw(x)) + M_h(h))``; ``c' = sigmoid(f) * c + sigmoid(i) * tanh(g)``;
    ``h' = sigmoid(o) * sigmoid(c')``; ``y = x * h'``. Each M is Linear(C, C // r) - ReLU - Linear(C // r, 4C), and h and c
    start at zero: they are handed from call to call by ``step`` and never kept here.
    Source: Huang et al., arXiv:1905.10671, unit and gate order; the outer sigmoid(c') replaces an LSTM's tanh there too.
    Differs: with ``gate_init='identity'``, which the paper does not have, the last layer of each M starts at zero and
    ``y = x * (4 * h')``, so that a new unit returns its input; the state handed on stays h' itself.

    Args:
        in_channels: C, the width of the residual branch at this stage.
        reduction: r, 1 <= r <= C (4 in the authors' CIFAR code, 20 in the ImageNet code of arXiv:2011.14058).
        gate_init: 'paper' or 'identity'.
        init_cfg: an mmengine initialisation config.

    Shape: x, y: (N, C, H, W) with H, W >= 1; h, c: (N, C).
    Cost: per image and call, 10*C*m MACs and 2*C*H*W + 13*C + 2*m element-wise operations (C more with 'identity'), where
        m = C // r; 2*(5*C*m + m + 4*C) parameters.
    Raises: ValueError if r is below 1 or above C, or ``gate_init`` is none of the two.

    >>> unit = DIA(in_channels=8)
    >>> y, carry = unit.step(torch.ones(2, 8, 5, 5), None)
    >>> y, carry = unit.step(y, carry)
    """

    reads = 'mean'
    zero_at_identity = ('from_input.2.weight', 'from_input.2.bias', 'from_state.2.weight', 'from_state.2.bias')
    identity_scale = 4

    def __init__(
        self,
        in_channels: int,
        reduction: int = 4,
        gate_init: str = 'paper',
        init_cfg: dict | None = None,
    ):
        super().__init__(in_channels, gate_init, init_cfg)
        require_whole('reduction', reduction, 1)
        if reduction > in_channels:
            raise ValueError(
                f'`reduction` must be at most the {in_channels} channels of the stage, but got {reduction!r}.'
            )
        self.hidden_channels = in_channels // reduction
        self.from_input = self._build_map()
        self.from_state = self._build_map()
        self.start_gate()

    def _build_map(self) -> nn.Sequential:
        channels, hidden = self.in_channels, self.hidden_channels
        return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 4 * channels))

    def step_from_mean(self, mean: Tensor, carry: Carry | None) -> tuple[Tensor, Carry]:
        """The gate, (N, C), of a branch whose channels have these means, and the advanced state."""
        hidden, cell = carry or (torch.zeros_like(mean), torch.zeros_like(mean))
        gates = self.from_input(mean) + self.from_state(hidden)
        in_gate, forget_gate, candidate, out_gate = gates.chunk(4, dim=1)
        cell = forget_gate.sigmoid() * cell + in_gate.sigmoid() * candidate.tanh()
        hidden = out_gate.sigmoid() * cell.sigmoid()
        return self.scale_gate(hidden), (hidden, cell)

    def gate_from_mean(self, mean: Tensor) -> Tensor:
        """The gate of a first block, where the state is zero."""
        return self.step_from_mean(mean, None)[0]

    def step(self, x: Tensor, carry: Carry | None) -> tuple[Tensor, Carry]:
        """Gate ``x`` and advance the state; ``carry=None`` starts from zeros."""
        gate, carry = self.step_from_mean(x.mean((2, 3)), carry)
        return x * gate[:, :, None, None], carry

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x, None)[0]

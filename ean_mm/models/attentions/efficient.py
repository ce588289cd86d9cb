"""Efficient attention (arXiv 1812.01243): self-attention whose cost is linear in the number of positions."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ...structures.checks import require_one_of, require_whole
from .base import GatedAttention


def _normalize_by_softmax(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    return queries.softmax(-2), keys.softmax(-1)


def _normalize_by_scaling(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    scale = keys.shape[-1] ** -0.5
    return queries * scale, keys * scale


LEAST_SAVING = 4_000_000  # MACs of an image; for less, four more small operators do not pay (benchmarks/scaling)

# (queries, keys) of each head, (..., channels, positions), as the products take them
NORMALIZATIONS = {'softmax': _normalize_by_softmax, 'scaling': _normalize_by_scaling}


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Return a map (N, channels, H, W) as (N, h, channels / h, n), n = H*W: a view, in any memory format."""
    return x.flatten(2).unflatten(1, (num_heads, -1))


def read_summary(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return ``Q @ (K.T @ V)`` for normalised queries and keys, never an n x n map.

    Args:
        queries: (..., k, n), positions last.
        keys: (..., k, n).
        values: (..., v, n).

    Shape: (..., v, n).

    >>> read_summary(torch.ones(2, 3), torch.ones(2, 3), torch.ones(1, 3))
    tensor([[6., 6., 6.]])
    """
    return (keys @ values.transpose(-2, -1)).transpose(-2, -1) @ queries


@MODELS.register_module()
class EfficientAttention(GatedAttention):
    """Efficient attention: every position reads one summary of all positions, which it weights by its own query.

    ``E = rho_q(Q) @ (rho_k(K).T @ V)``, ``y = x + reprojection(E)``; Q, K: (n, k) and V: (n, v) are 1x1 convolutions of x
    over its n = H*W positions. With 'softmax', rho_q is a softmax over the channels of each query and rho_k one over the
    positions of each key channel; the implied n x n map has rows that sum to 1, but is not softmax(Q K^T). With 'scaling'
    each divides by sqrt(n), and E equals Q K^T V / n. Neither forms the n x n map. Values and reprojection are linear, so they
    may as well be applied to what the summary is made of: ``rho_k(K).T @ V = (rho_k(K).T @ x.T) @ Wv.T + sum_n(rho_k(K)) bv``,
    and the summary is reprojected before it is read. That order is taken where it saves ``LEAST_SAVING`` MACs.
    Source: Shen et al., arXiv:1812.01243. Differs: heads are the authors' code's, not the paper's; with
    ``gate_init='identity'``, which the paper does not have, the reprojection starts at zero, so that a new module returns its
    input.

    Args:
        in_channels: C, the width of the residual branch at this stage.
        key_channels: k >= 1, the width of queries and keys; None stands for C // 2.
        value_channels: v >= 1, the width of values; None stands for C.
        num_heads: h >= 1, a divisor of k and v; each head attends with its own k / h and v / h channels.
        normalization: 'softmax' or 'scaling'.
        gate_init: 'paper' or 'identity'.
        init_cfg: an mmengine initialisation config.

    Shape: x, y: (N, C, H, W) with H, W >= 1.
    Cost: per image and call, 2*n*C*(k + v) + 2*n*k*v/h MACs and n*(C + 2*k) element-wise operations, or in the second order
        2*n*C*k + 2*k*C*(n + v/h) and n*(C + 3*k) + 2*k*v/h; 2*C*(k + v) + 2*k + v + C parameters.
    Raises: ValueError if a number is below 1, h does not divide k and v, or ``normalization`` or ``gate_init`` is unknown.

    >>> EfficientAttention(in_channels=8, gate_init='identity')(torch.ones(2, 8, 5, 5)).unique()
    tensor([1.], grad_fn=<Unique2Backward0>)
    """

    zero_at_identity = ('reprojection.weight', 'reprojection.bias')

    def __init__(
        self,
        in_channels: int,
        key_channels: int | None = None,
        value_channels: int | None = None,
        num_heads: int = 1,
        normalization: str = 'softmax',
        gate_init: str = 'paper',
        init_cfg: dict | None = None,
    ):
        super().__init__(in_channels, gate_init, init_cfg)
        key_channels = require_whole('key_channels', in_channels // 2 if key_channels is None else key_channels, 1)
        value_channels = require_whole('value_channels', in_channels if value_channels is None else value_channels, 1)
        self.num_heads = require_whole('num_heads', num_heads, 1)
        if key_channels % num_heads or value_channels % num_heads:
            raise ValueError(
                f'`num_heads` must divide the {key_channels} channels of keys and the {value_channels} of values, '
                f'but got {num_heads!r}; choose key_channels and value_channels to fit.'
            )
        self.normalize = NORMALIZATIONS[require_one_of('normalization', normalization, NORMALIZATIONS)]
        self.keys = nn.Conv2d(in_channels, key_channels, 1)
        self.queries = nn.Conv2d(in_channels, key_channels, 1)
        self.values = nn.Conv2d(in_channels, value_channels, 1)
        self.reprojection = nn.Conv2d(value_channels, in_channels, 1)
        self.start_gate()

    def forward(self, x: Tensor) -> Tensor:
        queries, keys = self.normalize(*(split_heads(layer(x), self.num_heads) for layer in (self.queries, self.keys)))
        project = self._project_summary if self._is_summary_cheaper(keys.shape[-1]) else self._project_maps
        return x + project(x, queries, keys)

    def _is_summary_cheaper(self, num_positions: int) -> bool:
        """Whether values and reprojection take clearly fewer MACs on the summary than on maps of so many positions."""
        h, k, v, n = self.num_heads, self.keys.out_channels, self.values.out_channels, num_positions
        saved = 2 * n * v * (self.in_channels + k // h) - 2 * k * self.in_channels * (n + v // h)
        return saved >= LEAST_SAVING

    def _project_maps(self, x: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
        """The reprojected values as the queries read them, (N, C, H, W)."""
        attended = read_summary(queries, keys, split_heads(self.values(x), self.num_heads))
        return self.reprojection(attended.flatten(1, 2).unflatten(2, x.shape[2:]))

    def _project_summary(self, x: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
        """The same in the other order."""
        h = self.num_heads
        to_values = self.values.weight.flatten(1).unflatten(0, (h, -1)).transpose(1, 2)  # by head, (h, C, v / h)
        from_values = self.reprojection.weight.flatten(1).unflatten(1, (h, -1)).permute(1, 2, 0)  # (h, v / h, C)
        values_bias, bias = cast(Tensor, self.values.bias), cast(Tensor, self.reprojection.bias)
        context = (keys.flatten(1, 2) @ x.flatten(2).transpose(1, 2)).unflatten(1, (h, -1))
        summary = context @ to_values + keys.sum(-1, keepdim=True) * values_bias.view(h, 1, -1)
        read = (summary @ from_values).flatten(1, 2).transpose(1, 2)
        return torch.baddbmm(bias[:, None], read, queries.flatten(1, 2)).unflatten(2, x.shape[2:])

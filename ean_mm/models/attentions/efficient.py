"""Efficient attention (arXiv 1812.01243): self-attention whose cost is linear in the number of positions."""

from __future__ import annotations

from torch import Tensor, nn

from ...registry import MODELS
from ...structures.checks import require_one_of, require_whole
from .base import GatedAttention


def _normalize_by_softmax(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    return queries.softmax(-2), keys.softmax(-1)


def _normalize_by_scaling(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    scale = keys.shape[-1] ** -0.5
    return queries * scale, keys * scale


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
    each divides by sqrt(n), and E equals Q K^T V / n. Neither forms the n x n map.
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
    Cost: per image and call, 2*n*C*(k + v) + 2*n*k*v/h MACs and n*(C + 2*k) element-wise operations;
        2*C*(k + v) + 2*k + v + C parameters.
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
        queries, keys, values = (
            split_heads(layer(x), self.num_heads) for layer in (self.queries, self.keys, self.values)
        )
        attended = read_summary(*self.normalize(queries, keys), values)
        return x + self.reprojection(attended.flatten(1, 2).unflatten(2, x.shape[2:]))

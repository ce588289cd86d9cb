"""A bonus for schemes unlike those seen before (random network distillation, arXiv 1810.12894)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .policy import multilayer

HIDDEN_WIDTH = 32
NUM_REFERENCE_SCHEMES = 256


class Curiosity(nn.Module):
    """Novelty: how badly one network predicts a fixed random one, having learned on schemes seen.

    ``error_n = |predictor(a_n) - target(a_n)|^2``; both are networks with ReLUs, target
    n -> 32 -> 32 -> 4n and predictor n -> 32 -> 4n. As published the bonus is ``sum_n error_n``,
    the same for every scheme of a step. Per sample it is ``(error_n - mean_m error_m) / r``, with r
    the untrained predictor's mean error on 256 random schemes: below 1 in size whatever n and the
    number of samples, and small after some tens of steps.
    Source: Burda et al., arXiv:1810.12894; the widths are those of arXiv:2011.14058's published
    code.

    Args:
        num_connections: n, the number of bits.
        generator: what both networks and the reference schemes are drawn from.
        per_sample: whether each scheme has a bonus of its own.

    Shape: masks: (N, n) bool; errors, bonus: (N,) float64.
    Cost: 164*n + 32 parameters in the predictor and 164*n + 1088 in the target.

    >>> Curiosity(16, torch.Generator()).error(torch.zeros(3, 16, dtype=torch.bool)).shape
    torch.Size([3])
    """

    reference_error: Tensor

    def __init__(self, num_connections: int, generator: torch.Generator, per_sample: bool = True):
        super().__init__()
        n, hidden = num_connections, HIDDEN_WIDTH
        self.per_sample = per_sample
        self.target = multilayer((n, hidden, hidden, 4 * n), generator).requires_grad_(False)
        self.predictor = multilayer((n, hidden, 4 * n), generator)
        schemes = torch.rand(NUM_REFERENCE_SCHEMES, n, generator=generator, device='cpu') < 0.5
        self.register_buffer('reference_error', self.error(schemes).detach().mean())

    def error(self, masks: Tensor) -> Tensor:
        """Squared distance of prediction and target per mask; the predictor's loss is the sum."""
        bits = masks.double()
        return (self.predictor(bits) - self.target(bits)).square().sum(1)

    def bonus(self, errors: Tensor) -> Tensor:
        """What novelty adds to each scheme's reward, before weighting; carries no gradient."""
        errors = errors.detach()
        if not self.per_sample:
            return errors.sum().expand(errors.shape)
        return (errors - errors.mean()) / self.reference_error

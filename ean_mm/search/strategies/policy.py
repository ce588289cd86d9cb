"""A distribution over connection schemes with independent bits."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

ZERO_INPUT_WIDTH = 20


class Policy(nn.Module):
    """Independent bits, each a two-way softmax over its pair of logits.

    ``pi_b(bit) = softmax(logits[b] / temperature)[bit]``; logits: (n, 2), either free parameters
    that start at 0 or the output of a network zeros(20) -> hidden_width -> 2n with one ReLU.
    Source: arXiv:2011.14058, the network with hidden_width 50 and temperature 5. With a zero input
    its first weights never learn, and a hidden unit whose bias starts negative stays dead.

    Args:
        num_connections: n, the number of bits.
        generator: what the network's initial weights are drawn from.
        hidden_width: hidden units of the network; 0 for free logits.
        temperature: > 0; what the logits are divided by.

    Shape: masks: (N, n) bool; log-probabilities: (N, n) float64.
    Cost: 2n parameters, or 21*h + (h + 1)*2n with h hidden units.

    >>> Policy(2, torch.Generator()).connect_probs().tolist()
    [0.5, 0.5]
    """

    def __init__(
        self,
        num_connections: int,
        generator: torch.Generator,
        hidden_width: int = 0,
        temperature: float = 1.0,
    ):
        super().__init__()
        self.num_connections = num_connections
        self.temperature = temperature
        self.network: _FreeLogits | nn.Sequential
        if hidden_width:
            self.network = multilayer((ZERO_INPUT_WIDTH, hidden_width, 2 * num_connections), generator)
        else:
            self.network = _FreeLogits(2 * num_connections)
        self.register_buffer('zeros', torch.zeros(ZERO_INPUT_WIDTH, dtype=torch.float64, device='cpu'), False)

    def log_probs(self) -> Tensor:
        """Log-probability of off and of on for each bit, (n, 2)."""
        logits = self.network(self.zeros).view(self.num_connections, 2)
        return log_softmax(logits / self.temperature, dim=1)

    def log_prob(self, masks: Tensor) -> Tensor:
        """Log-probability of each bit of each mask, (N, n); a mask's is the sum of its row."""
        off, on = self.log_probs().unbind(1)
        return torch.where(masks, on, off)

    def connect_probs(self) -> Tensor:
        """Probability that each bit is on, (n,)."""
        return self.log_probs()[:, 1].exp()

    def entropy(self) -> Tensor:
        """Entropy of each bit in nats, (n,); log 2 where on and off are equally likely."""
        log_probs = self.log_probs()
        return -(log_probs.exp() * log_probs).sum(1)

    @torch.no_grad()
    def set_connect_probs(self, probs: Tensor) -> None:
        """Make each bit as likely to be on as wanted, by moving the last layer's biases; other parameters stay.

        Args:
            probs: (n,) float64, each between 0 and 1, both excluded.
        """
        off, on = self.log_probs().unbind(1)
        shift = self.temperature * (probs.logit() - (on - off)) / 2
        self._bias.add_(torch.stack([-shift, shift], dim=1).flatten())

    @property
    def _bias(self) -> Tensor:
        if isinstance(self.network, _FreeLogits):
            return self.network.logits
        return cast(nn.Linear, self.network[-1]).bias

    @torch.no_grad()
    def sample(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Independent draws, (num_samples, n) bool."""
        uniform = torch.rand(
            num_samples,
            self.num_connections,
            generator=generator,
            dtype=torch.float64,
            device='cpu',
        )
        return uniform < self.connect_probs()


class _FreeLogits(nn.Module):
    """A vector of parameters in the place of a network."""

    def __init__(self, width: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(width, dtype=torch.float64, device='cpu'))

    def forward(self, _: Tensor) -> Tensor:
        return self.logits


def multilayer(widths: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    """Linear layers of the given widths with ReLUs between, float64, initialised as PyTorch does.

    Weights and biases are uniform in +-1/sqrt(fan_in), drawn from ``generator`` where PyTorch would
    draw from the global one.
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out, dtype=torch.float64, device='cpu')
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])

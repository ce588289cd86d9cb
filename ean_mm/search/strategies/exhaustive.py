"""Every scheme of a small network, in an order that is worth stopping early."""

from __future__ import annotations

import numpy as np
import torch

from ...registry import STRATEGIES
from ..masks import MAX_LISTED_SITES
from .strategy import Strategy, seeded_generator


@STRATEGIES.register_module()
class Exhaustive(Strategy):
    """Propose every scheme once, spread over the whole space at any time.

    The k-th proposal is the exclusive or of those of n generators that the ones among k's binary digits name. The first
    generator connects everything; each further one is, of all schemes, the farthest in bits from all that the ones before it
    generate, and of equally far ones a drawn one. So none and all come first, each proposal is followed by its opposite,
    and after 2, 4, 8, ... proposals every site has been connected in exactly half of them.

    Args:
        num_connections: n in [1, 14], the length of a scheme in bits.
        seed: a whole number >= 0; which of equally far schemes comes first follows from it.
        samples_per_step: N >= 1, schemes per step.
        num_steps: how many steps to take, >= 1; None takes as many as there are schemes for.

    Cost: scoring shares fewer blocks among schemes that differ this much than in counting order, which
        ``tools/search.py --score-all`` uses; a demo network's atlas is computed sooner that way.
    Raises: ValueError if an argument is outside its range.

    >>> Exhaustive(num_connections=3, samples_per_step=2).propose(0).astype(int).tolist()
    [[0, 0, 0], [1, 1, 1]]
    """

    def __init__(self, num_connections: int, seed: int = 0, samples_per_step: int = 16, num_steps: int | None = None):
        super().__init__(num_connections, seed, samples_per_step, 1 if num_steps is None else num_steps)
        if num_connections > MAX_LISTED_SITES:
            raise ValueError(
                f'`num_connections` must be at most {MAX_LISTED_SITES} to try every scheme, but got {num_connections}, '
                f'which are {2**num_connections:,} schemes; take another strategy.'
            )
        if num_steps is None:
            self.num_steps = -(-(2**num_connections) // samples_per_step)
        self._generators = _choose_generators(num_connections, self.seed)

    def propose(self, step: int) -> np.ndarray:
        first = step * self.samples_per_step
        return np.array([self._scheme(first + i) for i in range(self.samples_per_step)])

    def _learn(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        """Rewards change nothing."""

    def _scheme(self, k: int) -> list[bool]:
        number = 0
        for i, generator in enumerate(self._generators):
            if k >> i & 1:
                number ^= generator
        return [letter == '1' for letter in f'{number:0{self.num_connections}b}']


def _choose_generators(num_connections: int, seed: int) -> list[int]:
    draws = seeded_generator(seed, 0, 'exhaustive')
    numbers = np.arange(2**num_connections)
    # of each scheme, to the nearest one that is generated already: none alone at first
    distances = np.sum([numbers >> i & 1 for i in range(num_connections)], axis=0)
    generators: list[int] = []
    for _ in range(num_connections):
        farthest = np.flatnonzero(distances == distances.max())
        generators.append(int(farthest[torch.randint(len(farthest), (), generator=draws, device='cpu')]))
        distances = np.minimum(distances, distances[numbers ^ generators[-1]])
    return generators

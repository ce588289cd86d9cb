"""Random search: the control every learning strategy has to beat."""

from __future__ import annotations

import numpy as np
import torch

from ...registry import STRATEGIES
from .strategy import Strategy, seeded_generator

NUM_ROUNDS = 4


@STRATEGIES.register_module()
class RandomSearch(Strategy):
    """Propose every scheme with equal chance, none twice until all have been proposed.

    The k-th proposal of a run is the k-th number of a seeded shuffle of 0 ... 2^n - 1, written in
    binary. The shuffle is a formula, so nothing is stored: four rounds of ``x ^= x >> ceil(n / 2);
    x = (odd * x + shift) mod 2^n``, each of which can be undone, with ``odd`` and ``shift`` drawn
    from the seed.

    Args:
        num_connections: n >= 1, the length of a scheme in bits.
        seed: a whole number >= 0; the order of the proposals follows from it.
        samples_per_step: N >= 1, schemes per step.
        num_steps: how many steps to take, >= 1.

    Raises: ValueError if an argument is outside its range.

    >>> search = RandomSearch(num_connections=2, samples_per_step=4)
    >>> sorted(search.propose(0).tolist())
    [[False, False], [False, True], [True, False], [True, True]]
    """

    def __init__(self, num_connections: int, seed: int = 0, samples_per_step: int = 3, num_steps: int = 300):
        super().__init__(num_connections, seed, samples_per_step, num_steps)
        generator = seeded_generator(self.seed, 0, 'random search')
        bits = torch.randint(2, (NUM_ROUNDS, 2, num_connections), generator=generator, device='cpu')
        numbers = [[int(''.join(map(str, row)), 2) for row in pair] for pair in bits.tolist()]
        self._rounds = [(number | 1, shift) for number, shift in numbers]

    def propose(self, step: int) -> np.ndarray:
        first = step * self.samples_per_step
        return np.array([self._scheme(first + i) for i in range(self.samples_per_step)])

    def _learn(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        """Rewards change nothing."""

    def _scheme(self, k: int) -> list[bool]:
        n = self.num_connections
        x = k % 2**n
        for odd, shift in self._rounds:
            x ^= x >> (n + 1) // 2
            x = (odd * x + shift) % 2**n
        return [letter == '1' for letter in f'{x:0{n}b}']

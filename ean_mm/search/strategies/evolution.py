"""Regularised evolution over connection schemes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...registry import STRATEGIES
from ...structures.checks import require_whole
from ..masks import draw_masks, tell_free, walk_to_free
from .observations import Observations
from .strategy import Strategy, require_keys, seeded_generator


@STRATEGIES.register_module()
class RegularizedEvolution(Strategy):
    """Let the best of a few random parents have a child with one bit flipped; the oldest of the population dies.

    The population is the last P schemes that were scored. Until there are so many, proposals are random; then each is the
    child of the best of S members drawn without replacement. A child that has been observed before is mutated once more, and
    so on, so that no scheme is proposed twice while there are others; so is one that cannot become the ticket.
    Source: Real et al., arXiv:1802.01548, where P is 100 and S 25 for 20,000 networks. **Differs:** smaller P and S, for
    hundreds of schemes; no child repeats a scheme.

    Args:
        num_connections: n >= 1, the length of a scheme in bits.
        seed: a whole number >= 0; everything random follows from it.
        samples_per_step: N >= 1, schemes per step; all children of a step have parents of the step before.
        num_steps: how many steps to take, >= 1.
        population_size: P >= 1.
        tournament_size: S in [1, P].

    Raises: ValueError if an argument is outside its range.

    >>> search = RegularizedEvolution(num_connections=4, samples_per_step=1, population_size=1, tournament_size=1)
    >>> parent = search.propose(step=0)
    >>> search.observe(0, parent, rewards=[70.0])
    >>> int((search.propose(step=1) != parent).sum())
    1
    """

    def __init__(
        self,
        num_connections: int,
        seed: int = 0,
        samples_per_step: int = 3,
        num_steps: int = 300,
        population_size: int = 20,
        tournament_size: int = 5,
    ):
        super().__init__(num_connections, seed, samples_per_step, num_steps)
        self.population_size = require_whole('population_size', population_size, 1)
        self.tournament_size = require_whole('tournament_size', tournament_size, 1)
        if tournament_size > population_size:
            raise ValueError(
                f'`tournament_size` must be at most population_size = {population_size}, but got {tournament_size!r}.'
            )
        self._known = Observations(num_connections)

    def propose(self, step: int) -> np.ndarray:
        generator = seeded_generator(self.seed, step, 'evolution')
        taken, proposals = set(self._known.taken), []
        for _ in range(self.samples_per_step):
            child = walk_to_free(self._draw_parent(generator), tell_free(taken, self.is_allowed), generator)
            taken.add(child.tobytes())
            proposals.append(child)
        return np.array(proposals)

    def _draw_parent(self, generator: torch.Generator) -> np.ndarray:
        """The winner of a tournament; a random scheme as long as the population is too small."""
        known = self._known
        if len(known) < self.population_size:
            return draw_masks(1, self.num_connections, generator)[0]
        drawn = torch.randperm(self.population_size, generator=generator, device='cpu')[: self.tournament_size].numpy()
        members = len(known) - self.population_size + drawn
        return known.masks[members[known.rewards[members].argmax()]]

    def _learn(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        self._known.add(masks, rewards)

    def warm_start(self, masks: np.ndarray, rewards: np.ndarray) -> None:
        """They are the first members of the population, in the order given."""
        self._known.add(masks, rewards)

    def keep_probabilities(self) -> np.ndarray | None:
        """Which share of the population connects each bit; None while there is no member."""
        members = self._known.masks[-self.population_size :]
        return members.mean(0) if len(members) else None

    def state_dict(self) -> dict[str, Any]:
        return self._known.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        require_keys(state, self.state_dict())
        self._known.load_state_dict(state)

    def summary(self) -> dict[str, float]:
        """``population_reward``: mean over the population, in reward units; from the first observation on."""
        rewards = self._known.rewards[-self.population_size :]
        return {'population_reward': float(rewards.mean())} if len(rewards) else {}

"""Search guided by a model of single sites and pairs of sites: our own strategy."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

import numpy as np
import torch

from ...registry import STRATEGIES
from ...structures.checks import require_number, require_whole
from ..masks import MAX_LISTED_SITES, draw_masks, flip, tell_free, walk_to_free
from .observations import Observations
from .pair_maximum import Maximizer
from .pair_model import PRIOR_VARIANCES, PairModel, num_rounds
from .strategy import Strategy, require_keys, seeded_generator

NUM_OUTLOOKS = 64
NUM_STARTS = 5  # the best schemes so far, and as many random ones
MOST_FITTED = 1000
MOST_FAILED_STEPS = 4


@STRATEGIES.register_module()
class PairSurrogate(Strategy):
    """Fit a model of sites and pairs of sites to all rewards so far, and propose what it thinks may be best.

    First come none and all, then ``num_random`` random schemes, each followed by its opposite. From then on each proposal is
    where a function is largest that is drawn from what ``PairModel`` believes (Thompson
    sampling), its distance from the expected function shrunk to ``spread``: found exactly up to 14 sites, above by climbing
    from good and random schemes with flips of one and two bits. After each step further draws tell how likely any scheme
    without a score is expected above the best score. Once none does, the model itself is put to the test: all schemes one bit
    from the best are proposed, then all two bits away. A better one among them is the new best, and all goes on from there.
    Source: Thompson sampling on sites and pairs: Baptista and Poloczek, arXiv:1806.08838. **Differs:** see PairModel; the
    spread; the test at the end; no scheme is proposed that has a score, has failed, or cannot become the ticket.

    Args:
        num_connections: n >= 1, the length of a scheme in bits.
        seed: a whole number >= 0; everything random follows from it.
        samples_per_step: N >= 1, schemes per step; they are chosen with equal knowledge, so fewer learn more from each.
        num_steps: how many steps to take, >= 1.
        num_random: how many random schemes come first, opposites included, >= 0.
        spread: in [0, 1]; 0 proposes what is expected to be best, 1 is Thompson sampling.

    Shape: proposals (N, n) bool; rewards (N,), in any unit.
    Cost: some hundredths of a second per step, with many scores a few tenths; beyond 1,000 the best 1,000 are fitted.
    Raises: ValueError if an argument is outside its range.

    >>> search = PairSurrogate(num_connections=16)
    >>> masks = search.propose(step=0)
    >>> search.observe(0, masks, rewards=[70.0, 72.5, 71.0])
    >>> search.summary()['chance_of_better'] > 0.5
    True
    """

    def __init__(
        self,
        num_connections: int,
        seed: int = 0,
        samples_per_step: int = 3,
        num_steps: int = 100,
        num_random: int = 8,
        spread: float = 0.5,
    ):
        super().__init__(num_connections, seed, samples_per_step, num_steps)
        self.num_random = require_whole('num_random', num_random, 0)
        self.spread = require_number('spread', spread, 0.0, 1.0, rule='a number from 0 to 1')
        self._known = Observations(num_connections)
        self._failed: set[bytes] = set()
        self._next_step = 0
        self._variances = np.array(PRIOR_VARIANCES)
        self._chance = 1.0
        self._keep = np.full(num_connections, 0.5)

    # -- proposing -----------------------------------------------------------------------------------------------------

    def propose(self, step: int) -> np.ndarray:
        return self._choose(step, self._find_failed(step))

    def _find_failed(self, step: int) -> set[bytes]:
        """What has failed before a step. Steps that failed as a whole have not been learned from: they are worked out again."""
        failed = set(self._failed)
        for earlier in range(max(self._next_step, step - MOST_FAILED_STEPS), step):
            failed |= {mask.tobytes() for mask in self._choose(earlier, failed)}
        return failed

    def _choose(self, step: int, failed: set[bytes]) -> np.ndarray:
        taken = {*self._known.taken, *failed}
        chosen: list[np.ndarray] = []
        for mask in self._wishes(step, taken):
            if mask.tobytes() not in taken:
                taken.add(mask.tobytes())
                chosen.append(mask)
            if len(chosen) == self.samples_per_step:
                return np.array(chosen)
        generator = seeded_generator(self.seed, step, 'pair surrogate, random')
        while len(chosen) < self.samples_per_step:
            start = draw_masks(1, self.num_connections, generator)[0]
            chosen.append(walk_to_free(start, tell_free(taken, self.is_allowed), generator))
            taken.add(chosen[-1].tobytes())
        return np.array(chosen)

    def _wishes(self, step: int, taken: set[bytes]) -> Iterator[np.ndarray]:
        """What to propose, the most wanted first; ends when nothing is left. ``taken`` grows meanwhile."""
        yield from self._first_schemes()[step * self.samples_per_step :][: self.samples_per_step]
        if len(self._known) < 2:
            return
        generator = seeded_generator(self.seed, step, 'pair surrogate')
        is_exact = self.num_connections <= MAX_LISTED_SITES
        model = self._fit(0)
        expected = model.expect(is_exact)
        for ring in self._untested(taken) if self._chance == 0 else ():
            yield from ring[np.argsort(-expected(ring)[0], kind='stable')]
        maximizer = self._maximizer(taken, generator)
        drawn = model.draw(self.samples_per_step, is_exact, generator).towards(expected, 1 - self.spread)
        for i in range(self.samples_per_step):
            masks, values = maximizer.largest(drawn.only(i))
            if np.isfinite(values[0]):
                yield masks[0]

    def _first_schemes(self) -> np.ndarray:
        """None and all, whose scores a search has already, then random schemes and their opposites."""
        generator = seeded_generator(self.seed, 0, 'pair surrogate, first schemes')
        drawn = draw_masks(-(-self.num_random // 2), self.num_connections, generator)
        both = np.stack([drawn, ~drawn], 1).reshape(-1, self.num_connections)[: self.num_random]
        controls = np.array([[False], [True]]).repeat(self.num_connections, 1)
        first = np.concatenate([controls, both])
        return first[self.is_allowed(first)]

    def _maximizer(self, taken: Set[bytes], generator: torch.Generator) -> Maximizer:
        best = np.argsort(-self._known.rewards, kind='stable')[:NUM_STARTS]
        drawn = draw_masks(NUM_STARTS, self.num_connections, generator)
        return Maximizer(np.concatenate([self._known.masks[best], drawn]), taken, self.is_allowed)

    def _best(self) -> int | None:
        """The index of the best scheme that can become the ticket."""
        rewards = np.where(self.is_allowed(self._known.masks), self._known.rewards, -np.inf)
        return int(rewards.argmax()) if len(rewards) and np.isfinite(rewards.max()) else None

    def _untested(self, taken: Set[bytes]) -> list[np.ndarray]:
        """Free schemes one bit from the best, and two bits from it."""
        best = self._best()
        if best is None:
            return []
        rings = [flip(self._known.masks[best], distance) for distance in (1, 2)]
        is_free = tell_free(taken, self.is_allowed)
        return [ring[is_free(ring)] for ring in rings]

    # -- learning ------------------------------------------------------------------------------------------------------

    def _learn(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        self._failed = self._find_failed(step)
        if len(masks) < self.samples_per_step:
            self._failed |= {mask.tobytes() for mask in self._choose(step, self._failed)}
            self._failed -= {mask.tobytes() for mask in masks}
        self._next_step = step + 1
        self._take_in(step, masks, rewards)

    def warm_start(self, masks: np.ndarray, rewards: np.ndarray) -> None:
        self._take_in(-1, masks, rewards)

    def _take_in(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        self._known.add(masks, rewards)
        if len(self._known) < 2:
            return
        model = self._fit(num_rounds(len(self._known)))
        self._variances = model.variances
        self._look_out(model, seeded_generator(self.seed, step, 'pair surrogate, outlook'))

    def _fit(self, rounds: int) -> PairModel:
        best = np.sort(np.argsort(-self._known.rewards, kind='stable')[:MOST_FITTED])
        return PairModel(self._known.masks[best], self._known.rewards[best], self._variances, rounds)

    def _look_out(self, model: PairModel, generator: torch.Generator) -> None:
        """In which share of draws a scheme without a score is above the best score; which bits the best then connects."""
        best = self._best()
        if best is None:
            return
        drawn = model.draw(NUM_OUTLOOKS, self.num_connections <= MAX_LISTED_SITES, generator)
        masks, values = self._maximizer(self._settled, generator).largest(drawn)
        is_better = values > self._known.rewards[best]
        self._chance = float(is_better.mean())
        self._keep = np.where(is_better[:, None], masks, self._known.masks[best]).mean(0)

    @property
    def _settled(self) -> set[bytes]:
        """What has a score or has failed."""
        return {*self._known.taken, *self._failed}

    @property
    def has_converged(self) -> bool:
        """Whether no draw saw anything better and everything within two bits of the best has been tried."""
        is_tested = self._chance == 0 and self._best() is not None
        return is_tested and not any(map(len, self._untested(self._settled)))

    def keep_probabilities(self) -> np.ndarray:
        """In which share of draws the best scheme, scored or not, connects each bit; 1/2 before there is a model."""
        return self._keep.copy()

    # -- state ---------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        failed = np.array([np.frombuffer(mask, dtype=bool) for mask in sorted(self._failed)], dtype=bool)
        return {
            **self._known.state_dict(),
            'failed': torch.from_numpy(failed.reshape(-1, self.num_connections)),
            'next_step': self._next_step,
            'variances': torch.from_numpy(self._variances.copy()),
            'chance_of_better': self._chance,
            'keep': torch.from_numpy(self._keep.copy()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        require_keys(state, self.state_dict())
        self._known.load_state_dict(state)
        self._failed = {mask.tobytes() for mask in state['failed'].numpy()}
        self._next_step = state['next_step']
        self._variances = state['variances'].numpy().copy()
        self._chance = state['chance_of_better']
        self._keep = state['keep'].numpy().copy()

    def summary(self) -> dict[str, float]:
        """What the model says.

        ``chance_of_better``: share of draws in which a scheme without a score is expected above the best score;
        ``sites``, ``pairs``, ``rest``, ``noise``: shares of what makes rewards differ.
        """
        shares = self._variances / self._variances.sum()
        names = ('sites', 'pairs', 'rest', 'noise')
        return {'chance_of_better': self._chance, **dict(zip(names, shares.tolist(), strict=True))}

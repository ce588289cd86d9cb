"""REINFORCE over connection schemes: the search of arXiv 2011.14058."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...registry import STRATEGIES
from .curiosity import Curiosity
from .objectives import clipped_ratio_loss, detached_ratio_loss, policy_gradient_loss
from .policy import Policy
from .reinforce_settings import ReinforceSettings, choose_settings
from .strategy import Strategy, seeded_generator

WARM_PROBABILITIES = (0.2, 0.8)  # how sure of a bit a warm start makes the policy at most


@STRATEGIES.register_module()
class Reinforce(Strategy):
    """Learn which connections pay off with policy gradients, curiosity and replay.

    One step: score N schemes drawn from the policy; ``A_n = R_n + bonus_n - baseline``;
    one Adam step on ``-mean_n A_n sum_b log pi_b(a_nb) - entropy_weight * sum_b H_b`` together with
    the curiosity predictor's loss; from ``replay_start`` on, one more on ``replay_weight`` times
    the replay objective of a remembered step, with ``A_n = R_n - baseline``.
    Source: arXiv:2011.14058 and the code its authors published. **Differs:** ``preset='paper'`` is
    the published arithmetic (in float64 and with our own random draws), ``preset='corrected'``
    mends what looks unintended there. Point by point:

    * The policy network's input is always zero, so its first weights never learn and about half of
      its hidden units are dead from the start. Paper: kept (``hidden_width=50, temperature=5``).
      Corrected: two free logits per bit that start at 0 (``hidden_width=0, temperature=1``).
    * A tanh on the logits exists but is never reached. Dropped: neither preset squashes.
    * The bonus is one number for all schemes of a step, so it cannot prefer one to another, and a
      sum, so it grows with N and n. Paper: kept. Corrected: ``curiosity_per_sample``, a bonus for
      each scheme on a scale of its own, with mean 0 over the step.
    * The baseline contains the bonus, the rewards in replay do not, so replay advantages are too
      low. Paper: kept. Corrected: a baseline of rewards alone (``baseline_has_bonus=False``).
    * The baseline takes in a step's rewards before it is subtracted from them, which shrinks their
      advantage by 5 %. Paper: kept. Corrected: ``baseline_updated_first=False``. Either way the
      first step's baseline is its own mean, there being no other.
    * In replay the probability ratio is a constant that multiplies a log-probability, which is
      negative: the minimum then takes the opposite branch of the clipped objective, and of two
      totals rather than term by term; a clipped bit goes on learning. With A > 0 and a ratio of 2
      the weight is 2.0 where it should be 1.1. Paper: kept. Corrected: the gradient flows through
      the ratio and the clip binds each bit (``replay_ratio_learns=True``).
    * Replay draws actions nobody uses, and some variables are never read. Dropped: every draw here
      is a function of seed and step, so nothing depends on how many others there were.

    Args:
        num_connections: n >= 1, the length of a scheme in bits.
        seed: a whole number >= 0; initial networks, proposals and replay draws follow from it.
        preset: 'paper' or 'corrected', the defaults of all further arguments; None means default.
        samples_per_step: N >= 1, schemes per step (3).
        num_steps: how many steps to take, >= 1 (300).
        lr: Adam's learning rate, > 0 (0.05).
        hidden_width: hidden units of the policy network, >= 0; 0 for free logits
            (paper 50, corrected 0).
        temperature: > 0, what the logits are divided by (paper 5, corrected 1).
        entropy_weight: >= 0, reward units per nat of the policy's entropy (0).
        curiosity_weight: >= 0, reward units per unit of bonus (1).
        curiosity_per_sample: whether each scheme has its own bonus (paper no, corrected yes).
        baseline_decay: in [0, 1], how much of the baseline a step keeps (0.95).
        baseline_has_bonus: whether the baseline averages rewards with bonus (paper yes,
            corrected no).
        baseline_updated_first: whether a step's own rewards enter the baseline before it is
            subtracted from them (paper yes, corrected no).
        replay_weight: >= 0, factor of the replay loss (0.1).
        replay_start: first step, counted from 0, that replays (10).
        replay_size: steps remembered, >= 1 (30).
        replay_ratio_learns: whether replay uses the clipped objective, with the gradient through
            the ratio, instead of the published one (paper no, corrected yes).
        clip_epsilon: in (0, 1), how far from 1 the ratio is clipped (0.1).

    Shape: proposals (N, n) bool; rewards (N,), in the metric's unit, percent for accuracies.
    Cost: a few milliseconds per step; 2,682 policy parameters for 'paper' and n = 16, 2n for
        'corrected'.
    Raises: ValueError if an argument is outside its range.

    >>> search = Reinforce(num_connections=16, preset='paper')
    >>> masks = search.propose(step=0)
    >>> search.observe(0, masks, rewards=[1.5, 2.0, 1.0])
    >>> search.summary()['baseline'] > 1.5
    True
    """

    def __init__(
        self,
        num_connections: int,
        seed: int = 0,
        preset: str = 'corrected',
        *,
        samples_per_step: int | None = None,
        num_steps: int | None = None,
        lr: float | None = None,
        hidden_width: int | None = None,
        temperature: float | None = None,
        entropy_weight: float | None = None,
        curiosity_weight: float | None = None,
        curiosity_per_sample: bool | None = None,
        baseline_decay: float | None = None,
        baseline_has_bonus: bool | None = None,
        baseline_updated_first: bool | None = None,
        replay_weight: float | None = None,
        replay_start: int | None = None,
        replay_size: int | None = None,
        replay_ratio_learns: bool | None = None,
        clip_epsilon: float | None = None,
    ):
        given = {k: v for k, v in locals().items() if k in ReinforceSettings.__annotations__}
        chosen = self.settings = choose_settings(preset, given)
        super().__init__(num_connections, seed, chosen.samples_per_step, chosen.num_steps)
        self.policy = Policy(
            num_connections,
            seeded_generator(seed, 0, 'policy'),
            chosen.hidden_width,
            chosen.temperature,
        )
        self.curiosity = Curiosity(num_connections, seeded_generator(seed, 0, 'curiosity'), chosen.curiosity_per_sample)
        self._parameters = [*self.policy.parameters(), *self.curiosity.predictor.parameters()]
        self._adam = torch.optim.Adam(self._parameters, lr=chosen.lr)
        self._baseline: list[float] = []  # none before the first observation, then one
        self._replay: list[dict[str, Tensor]] = []

    def propose(self, step: int) -> np.ndarray:
        generator = seeded_generator(self.seed, step, 'propose')
        return self.policy.sample(self.samples_per_step, generator).numpy()

    @torch.inference_mode(False)  # a caller's no_grad or inference mode would stop learning
    def _learn(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        chosen, actions, raw = self.settings, torch.from_numpy(masks), torch.from_numpy(rewards)
        log_probs = self.policy.log_prob(actions)
        self._remember(actions, raw, log_probs.detach())
        errors = self.curiosity.error(actions)
        bonus = chosen.curiosity_weight * self.curiosity.bonus(errors)
        loss = policy_gradient_loss(log_probs, self._advantages(raw, bonus))
        loss = loss - chosen.entropy_weight * self.policy.entropy().sum()
        self._minimise(loss + errors.sum())
        if step >= chosen.replay_start:
            self._minimise(self._replay_loss(step))

    def warm_start(self, masks: np.ndarray, rewards: np.ndarray) -> None:
        """Set each bit's probability to its mean over the masks, which weigh more the higher their reward.

        The weights are a softmax of the rewards in units of their standard deviation; no bit becomes surer than 0.2 or 0.8.
        """
        spread = float(np.std(rewards)) or 1.0
        weights = np.exp((rewards - np.max(rewards)) / spread)
        mean = weights @ masks / weights.sum()
        self.policy.set_connect_probs(torch.from_numpy(mean.clip(*WARM_PROBABILITIES)))

    def keep_probabilities(self) -> np.ndarray:
        """The policy's own."""
        return self.policy.connect_probs().detach().numpy()

    def _remember(self, actions: Tensor, rewards: Tensor, log_probs: Tensor) -> None:
        """Append a step to the replay buffer; the oldest leaves."""
        entry = {'masks': actions.clone(), 'rewards': rewards.clone(), 'log_probs': log_probs}
        self._replay = [*self._replay, entry][-self.settings.replay_size :]

    def _advantages(self, rewards: Tensor, bonus: Tensor) -> Tensor:
        """Rewards with bonus over the baseline, which takes in this step's mean before or after."""
        chosen = self.settings
        tracked = rewards + bonus if chosen.baseline_has_bonus else rewards
        mean = tracked.mean().item()
        before = self._baseline[0] if self._baseline else mean
        after = chosen.baseline_decay * before + (1 - chosen.baseline_decay) * mean
        self._baseline = [after]
        return rewards + bonus - (after if chosen.baseline_updated_first else before)

    def _replay_loss(self, step: int) -> Tensor:
        """The loss of one remembered step, drawn anew as a function of seed and step."""
        chosen, generator = self.settings, seeded_generator(self.seed, step, 'replay')
        draw = torch.randint(len(self._replay), (), generator=generator, device='cpu')
        entry = self._replay[int(draw)]
        objective = clipped_ratio_loss if chosen.replay_ratio_learns else detached_ratio_loss
        return chosen.replay_weight * objective(
            self.policy.log_prob(entry['masks']),
            entry['log_probs'],
            entry['rewards'] - self._baseline[0],
            chosen.clip_epsilon,
        )

    def _minimise(self, loss: Tensor) -> None:
        """One Adam step on what the loss depends on; a replay loss leaves the predictor alone."""
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        return copy.deepcopy(
            {
                'num_connections': self.num_connections,
                'policy': dict(self.policy.state_dict()),
                'curiosity': dict(self.curiosity.state_dict()),
                'adam': self._adam.state_dict()['state'],
                'baseline': self._baseline,
                'replay': self._replay,
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if state['num_connections'] != self.num_connections:
            raise ValueError(
                f"`state['num_connections']` must be {self.num_connections}, "
                f'but got {state["num_connections"]!r}; it belongs to another search space.'
            )
        state = copy.deepcopy(state)
        try:
            self.policy.load_state_dict(state['policy'])
            self.curiosity.load_state_dict(state['curiosity'])
        except RuntimeError as err:
            raise ValueError(
                f"`state['policy']` must fit hidden_width={self.settings.hidden_width}, "
                f'but got {sorted(state["policy"])!r}; give the settings it was saved with.'
            ) from err
        groups = self._adam.state_dict()['param_groups']
        self._adam.load_state_dict({'state': state['adam'], 'param_groups': groups})
        self._baseline = state['baseline']
        self._replay = state['replay']

    def summary(self) -> dict[str, float]:
        """The policy's state in numbers.

        ``entropy``: mean per bit, in nats; ``density``: mean probability to connect; ``baseline``:
        in reward units, from the first observation on.
        """
        with torch.no_grad():
            numbers = {
                'entropy': self.policy.entropy().mean().item(),
                'density': self.policy.connect_probs().mean().item(),
            }
        if self._baseline:
            numbers['baseline'] = self._baseline[0]
        return numbers

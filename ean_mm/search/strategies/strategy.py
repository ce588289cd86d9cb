"""What every search strategy is: proposals and rewards over bit strings, and nothing else."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch

from ...structures.checks import require_whole
from ..masks import TellMasks, allow_all


class Strategy(ABC):
    """Propose connection schemes as bit strings and learn from their rewards.

    A subclass writes ``propose`` and ``_learn`` and, if it has a state, ``state_dict``,
    ``load_state_dict`` and ``summary``. ``propose(step)`` is a pure function of the seed, the step
    and what has been learned: asked twice it answers the same, and a run restored from
    ``state_dict`` continues as the uninterrupted one. All randomness comes from
    :func:`seeded_generator`; the global generators are neither read nor advanced.

    Args:
        num_connections: n >= 1, the length of a scheme in bits.
        seed: a whole number >= 0; everything random follows from it.
        samples_per_step: N >= 1, schemes per step.
        num_steps: how many steps the strategy wants, >= 1.

    Raises:
        ValueError: if an argument is outside its range.

    Attributes:
        is_allowed: tells which masks (M, num_connections) can become the ticket, (M,) bool; others may be left out. All,
            until a search says otherwise before it begins.
    """

    def __init__(self, num_connections: int, seed: int = 0, samples_per_step: int = 3, num_steps: int = 300):
        self.num_connections = require_whole('num_connections', num_connections, 1)
        self.seed = require_whole('seed', seed, 0)
        self.samples_per_step = require_whole('samples_per_step', samples_per_step, 1)
        self.num_steps = require_whole('num_steps', num_steps, 1)
        self.is_allowed: TellMasks = allow_all

    @abstractmethod
    def propose(self, step: int) -> np.ndarray:
        """The schemes to score at ``step``: a boolean array (samples_per_step, num_connections)."""

    def observe(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        """Learn from the schemes that could be scored.

        Args:
            step: the step they were proposed at.
            masks: their masks, boolean, (M, num_connections) with M <= samples_per_step; M = 0
                teaches nothing.
            rewards: their rewards, finite, (M,).

        Raises:
            ValueError: if the shapes disagree or a reward is not finite; nothing has been learned
            then.
        """
        masks, rewards = np.asarray(masks, dtype=bool), np.asarray(rewards, dtype=np.float64)
        if rewards.size == 0:
            return
        if masks.shape != (rewards.size, self.num_connections) or rewards.ndim != 1:
            raise ValueError(
                f'`masks` must have shape {(rewards.size, self.num_connections)} and `rewards` '
                f'one number for each, but got {masks.shape} and {rewards.shape}.'
            )
        if not np.isfinite(rewards).all():
            raise ValueError(f'`rewards` must be finite, but got {rewards.tolist()!r}; leave failed schemes out.')
        self._learn(step, masks, rewards)

    @abstractmethod
    def _learn(self, step: int, masks: np.ndarray, rewards: np.ndarray) -> None:
        """Take in at least one observation; the rewards are finite."""

    def warm_start(self, masks: np.ndarray, rewards: np.ndarray) -> None:  # noqa: B027 (nothing is a fine answer)
        """Learn from schemes it has not proposed, before its first step; does nothing unless a strategy says otherwise.

        Args:
            masks: boolean, (M, num_connections).
            rewards: finite, (M,).
        """

    @property
    def has_converged(self) -> bool:
        """Whether further proposals would be of no use; False for a strategy that cannot tell."""
        return False

    def keep_probabilities(self) -> np.ndarray | None:
        """How likely it is to connect each bit now, (num_connections,); None for a strategy that has no such idea."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Everything learned so far as plain values; a copy, so learning on does not change it."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what ``state_dict`` returned.

        Raises:
            ValueError: if ``state`` is not this strategy's.
        """
        require_keys(state, self.state_dict())

    def summary(self) -> dict[str, float]:
        """Raw numbers worth watching during the search."""
        return {}


def seeded_generator(seed: int, step: int, purpose: str) -> torch.Generator:
    """A fresh CPU generator that is a function of its arguments alone.

    Args:
        seed: the seed of the run.
        step: the step or iteration it serves.
        purpose: what is drawn, so that two uses at one step are independent.

    >>> draw = lambda purpose: torch.rand(1, generator=seeded_generator(0, 7, purpose)).item()
    >>> draw('propose') == draw('propose') != draw('replay')
    True
    """
    digest = hashlib.sha256(f'{seed} {step} {purpose}'.encode()).digest()
    # 32 bits: torch's CPU generator ignores the higher half of a longer seed.
    return torch.Generator('cpu').manual_seed(int.from_bytes(digest[:4], 'big'))


def require_keys(state: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that a state holds what this strategy would write.

    Raises:
        ValueError: if its keys differ.
    """
    found = sorted(state) if isinstance(state, dict) else state
    if found != sorted(expected):
        raise ValueError(f'`state` must hold {sorted(expected)!r}, but got {found!r}; it belongs to another strategy.')

"""What a strategy has been told: distinct schemes and their rewards."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np
import torch


class Observations:
    """Distinct schemes with their rewards, in the order in which they were first observed.

    Args:
        num_connections: n, the length of a scheme in bits.

    Attributes:
        masks: (M, n) bool.
        rewards: (M,) float64.

    >>> known = Observations(2)
    >>> known.add(np.array([[True, False], [True, False]]), np.array([3.0, 3.0]))
    >>> len(known), np.array([True, False]) in known, np.array([True, True]) in known
    (1, True, False)
    """

    def __init__(self, num_connections: int):
        self.num_connections = num_connections
        self.masks = np.zeros((0, num_connections), dtype=bool)
        self.rewards = np.zeros(0)
        self._known: set[bytes] = set()

    def __len__(self) -> int:
        return len(self.rewards)

    def __contains__(self, mask: np.ndarray) -> bool:
        return mask.tobytes() in self._known

    def add(self, masks: np.ndarray, rewards: np.ndarray) -> None:
        """Remember those that are new, in order."""
        is_new = []
        for mask in masks:
            is_new.append(mask not in self)
            self._known.add(mask.tobytes())
        self.masks = np.concatenate([self.masks, masks[is_new]])
        self.rewards = np.concatenate([self.rewards, rewards[is_new]])

    @property
    def taken(self) -> Set[bytes]:
        """The masks as bytes."""
        return self._known

    def state_dict(self) -> dict[str, Any]:
        """Masks and rewards as tensors."""
        return {'masks': torch.from_numpy(self.masks.copy()), 'rewards': torch.from_numpy(self.rewards.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace what was observed by what ``state_dict`` returned.

        Raises:
            ValueError: if the masks have another length.
        """
        masks, rewards = state['masks'].numpy(), state['rewards'].numpy()
        if masks.shape != (len(rewards), self.num_connections):
            raise ValueError(
                f"`state['masks']` must have shape {(len(rewards), self.num_connections)}, but got {masks.shape}; "
                'it belongs to another search space.'
            )
        self._known = set()
        self.masks, self.rewards = self.masks[:0], self.rewards[:0]
        self.add(masks, rewards)

"""Activations worth keeping, within a budget of bytes."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from ..structures.checks import require_whole


@dataclass
class _Entry:
    value: Any
    num_bytes: int
    seconds: float
    uses: int
    worth: float


class ActivationStore:
    """Keep the values that pay most: seconds saved per byte, times how often they were asked for, ageing with time.

    Source: the GreedyDual-Size-Frequency rule of web caches (Cherkasova, HPL-98-69): a value's worth is
    ``age + uses * seconds / bytes``, the least worth leaves first, and the age is the worth of what left last.

    Args:
        budget: bytes at most.

    Raises:
        ValueError: if the budget is below 0.

    Attributes:
        num_bytes: what is held now.
        peak_bytes: the most that was held.
        least_bytes: of the smallest value that was ever offered.
    """

    def __init__(self, budget: int):
        self.budget = require_whole('budget', budget, 0)
        self.num_bytes = 0
        self.peak_bytes = 0
        self.least_bytes: float = math.inf
        self._age = 0.0
        self._entries: dict[Hashable, _Entry] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Any:
        """The value kept under ``key``, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.uses += 1
        self._rate(key, entry)
        return entry.value

    def offer(self, key: Hashable, value: Any, seconds: float) -> None:
        """Keep ``value`` if it is worth more than what has to leave for it; ``seconds`` is what computing it again takes."""
        num_bytes = count_bytes(value)
        self.least_bytes = min(self.least_bytes, num_bytes)
        if num_bytes > self.budget or key in self._entries:
            return
        entry = _Entry(value, num_bytes, seconds, 1, 0.0)
        worth = self._worth(entry)
        while self.num_bytes + num_bytes > self.budget:
            least = self._least()
            if least is None or self._entries[least].worth > worth:
                return
            self._age = self._entries[least].worth
            self.drop(least)
        self._entries[key] = entry
        self._rate(key, entry)
        self.num_bytes += num_bytes
        self.peak_bytes = max(self.peak_bytes, self.num_bytes)

    def drop(self, key: Hashable) -> None:
        """Let a value go."""
        self.num_bytes -= self._entries.pop(key).num_bytes

    def clear(self) -> None:
        """Let everything go."""
        self._entries.clear()
        self._heap.clear()
        self.num_bytes = 0

    def _worth(self, entry: _Entry) -> float:
        return self._age + entry.uses * entry.seconds / max(entry.num_bytes, 1)

    def _rate(self, key: Hashable, entry: _Entry) -> None:
        entry.worth = self._worth(entry)
        heapq.heappush(self._heap, (entry.worth, next(self._order), key))
        if len(self._heap) > 8 * len(self._entries) + 64:  # most of it is outdated
            self._heap = [(each.worth, next(self._order), name) for name, each in self._entries.items()]
            heapq.heapify(self._heap)

    def _least(self) -> Hashable | None:
        while self._heap:
            worth, _, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry.worth == worth:
                return key
            heapq.heappop(self._heap)  # left, or rated anew since
        return None


def count_bytes(value: Any) -> int:
    """Bytes of all tensors in ``value``, one that is there twice once."""
    leaves = {id(leaf): leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)}
    return sum(leaf.numel() * leaf.element_size() for leaf in leaves.values())

"""What connections add to the cost of a network, as sums that can be searched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..registry import suggest
from ..structures.checks import require_number, require_whole
from ..structures.shorten import shorten

NUM_CONNECTED = 'num_connected'  # a cost of every space: one per bit
Fixed = Mapping[int, bool]  # bits that every scheme of a space has on or off


@dataclass(frozen=True)
class AddedCost:
    """One cost of a network: of the bare one, of each connection, and of each group of bits that has a connection.

    ``cost(mask) = bare + sum_i bits[i] * mask[i] + sum_g group_costs[g] * (any bit of g is on)``
    MACs and latency are paid by the bit, parameters of a shared attention by the group.

    Args:
        bare: of the network with no connection.
        bits: what each connection adds; negative where it saves.
        groups: to which group each bit belongs; empty if no cost is paid by the group.
        group_costs: what each group adds as soon as one of its bits is on.

    Raises: ValueError if a number is not finite, or groups and bits do not fit together.

    >>> cost = AddedCost(100.0, bits=(1.0, 2.0), groups=('a', 'a'), group_costs={'a': 10.0})
    >>> cost.of(np.array([[False, False], [True, False], [True, True]])).tolist()
    [100.0, 111.0, 113.0]
    """

    bare: float
    bits: tuple[float, ...]
    groups: tuple[str, ...] = ()
    group_costs: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_number('bare', self.bare, rule='a finite number')
        for value in (*self.bits, *self.group_costs.values()):
            require_number('bits and group_costs', value, rule='finite numbers')
        if self.group_costs and len(self.groups) != len(self.bits):
            raise ValueError(
                f'`groups` must have one entry for each of the {len(self.bits)} bits, but got {len(self.groups)}.'
            )
        if set(self.groups) != set(self.group_costs):
            raise ValueError(
                f'`group_costs` must name the groups {shorten(sorted(set(self.groups)))}, '
                f'but got {shorten(sorted(self.group_costs))}.'
            )

    @cached_property
    def members(self) -> dict[str, np.ndarray]:
        """The bits of each group, (n,) bool."""
        return {name: np.array([group == name for group in self.groups]) for name in self.group_costs}

    def of(self, masks: np.ndarray) -> np.ndarray:
        """The cost of masks (M, n), (M,)."""
        masks = np.asarray(masks, dtype=bool)
        # summed row by row: a matrix product rounds by how many rows there are
        total = self.bare + np.where(masks, np.asarray(self.bits, dtype=float), 0.0).sum(1)
        for name, is_member in self.members.items():
            total += self.group_costs[name] * masks[:, is_member].any(1)
        return total

    @property
    def scale(self) -> float:
        """The sum of all parts without their signs: what all connections add, if none saves."""
        return math.fsum(abs(value) for value in (*self.bits, *self.group_costs.values()))

    def cheapest(self, fixed: Fixed, min_connected: int, sign: int = 1) -> np.ndarray:
        """A mask (n,) of least cost, or of most with ``sign=-1``, among those with these bits fixed and so many connected.

        Exact: in a group, k free connections cost least as its k cheapest; groups are put together by dynamic programming
        over the number of connections, O(n^2).
        """
        best, chosen = np.zeros(1), [np.zeros(0, dtype=int)]  # least cost of 0, 1, ... connections, and by which
        for group in _as_groups(self):
            options = _cheapest_of_group(self, group, fixed, sign)
            best, chosen = _combine(best, chosen, options)
        count = min_connected + int(np.argmin(best[min_connected:]))
        mask = np.zeros(len(self.bits), dtype=bool)
        mask[chosen[count]] = True
        return mask


class AddedCosts:
    """Every cost of a network by name, as sums over connections; see :class:`AddedCost`.

    Args:
        num_connections: n, bits of a scheme.
        costs: by name: 'params', 'macs', 'latency' (in milliseconds), ... 'num_connected' is there by itself.

    Raises: ValueError if a cost has another number of bits.

    >>> costs = AddedCosts(2, {'macs': AddedCost(50.0, (1.0, 3.0))})
    >>> masks = np.array([[False, False], [True, False], [True, True]])
    >>> costs.of('macs', masks).tolist(), costs.share('macs', masks).tolist()
    ([50.0, 51.0, 54.0], [0.0, 0.25, 1.0])
    >>> costs.achievable_range('macs', min_connected=1)
    (51.0, 54.0)
    """

    def __init__(self, num_connections: int, costs: Mapping[str, AddedCost] | None = None):
        self.num_connections = require_whole('num_connections', num_connections, 1)
        self._costs = {**(costs or {}), NUM_CONNECTED: AddedCost(0, (1,) * num_connections)}
        for name, cost in self._costs.items():
            if len(cost.bits) != num_connections:
                raise ValueError(f'`costs` must have {num_connections} bits, but got {len(cost.bits)} for {name!r}.')

    def __contains__(self, name: object) -> bool:
        return name in self._costs

    @property
    def names(self) -> tuple[str, ...]:
        """Which costs are known, 'num_connected' last."""
        return tuple(self._costs)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain values, without 'num_connected', from which :meth:`from_dict` makes the same costs."""
        return {name: asdict(cost) for name, cost in self._costs.items() if name != NUM_CONNECTED}

    @classmethod
    def from_dict(cls, num_connections: int, fields: Mapping[str, Mapping[str, Any]]) -> AddedCosts:
        """Read what :meth:`to_dict` gave, tuples as lists too.

        Raises:
            ValueError: if it was something else.
        """
        costs = {}
        for name, each in fields.items():
            if not isinstance(each, Mapping) or set(each) != {'bare', 'bits', 'groups', 'group_costs'}:
                raise ValueError(
                    f'`costs.{name}` must hold bare, bits, groups and group_costs, but got {shorten(each)}.'
                )
            costs[name] = AddedCost(each['bare'], tuple(each['bits']), tuple(each['groups']), dict(each['group_costs']))
        return cls(num_connections, costs)

    def __getitem__(self, name: str) -> AddedCost:
        if name not in self._costs:
            known = ', '.join(map(repr, self._costs))
            raise ValueError(
                f'`name` must be a cost that was counted or measured ({known}), but got {name!r}; '
                f'{suggest(str(name), self._costs, "have it measured first.")}'
            )
        return self._costs[name]

    def of(self, name: str, masks: np.ndarray) -> np.ndarray:
        """The cost of the whole network under masks (M, n), (M,).

        Raises:
            ValueError: if there is no such cost.
        """
        return self[name].of(masks)

    def share(self, name: str, masks: np.ndarray) -> np.ndarray:
        """How much of what all connections add is added by masks (M, n), (M,), in [0, 1]; 0 if they add nothing at all.

        Where connections save as well as add, the share is of the sum of all parts without their signs, in [-1, 1]: a
        small balance of large parts is no measure.

        Raises:
            ValueError: if there is no such cost.
        """
        cost = self[name]
        added = cost.of(masks) - cost.bare
        return added / cost.scale if cost.scale else np.zeros_like(added)

    def achievable_range(self, name: str, fixed: Fixed | None = None, min_connected: int = 0) -> tuple[float, float]:
        """The least and the highest cost of a scheme; exact.

        Args:
            name: of the cost.
            fixed: bits that are on or off in every scheme.
            min_connected: how many bits are on at least.

        Raises:
            ValueError: if there is no such cost, or the space has no scheme.
        """
        cost, fixed = self[name], fixed or {}
        require_space(self.num_connections, fixed, min_connected)
        low, high = (cost.of(cost.cheapest(fixed, min_connected, sign)[None]) for sign in (1, -1))
        return float(low[0]), float(high[0])


def require_space(num_connections: int, fixed: Fixed, min_connected: int) -> None:
    """Check that some scheme has these bits fixed and so many connected.

    Raises:
        ValueError: if none has.
    """
    for bit in fixed:
        if not isinstance(bit, int | np.integer) or isinstance(bit, bool) or not 0 <= bit < num_connections:
            raise ValueError(f'`fixed` must name bits from 0 to {num_connections - 1}, but got {bit!r}.')
    most = num_connections - sum(not value for value in fixed.values())
    if require_whole('min_connected', min_connected, 0) > most:
        raise ValueError(
            f'`min_connected` must be at most the {most} connections that can be on, but got {min_connected}.'
        )


def _as_groups(cost: AddedCost) -> Sequence[np.ndarray]:
    """Bits by group, each an array of their numbers."""
    if not cost.groups:
        return [np.arange(len(cost.bits))]
    return [np.flatnonzero(is_member) for is_member in cost.members.values()]


def _cheapest_of_group(cost: AddedCost, group: np.ndarray, fixed: Fixed, sign: int) -> list[tuple[float, np.ndarray]]:
    """What 0, 1, ... connections of one group cost at least, infinite where the fixed bits forbid it, and which they are."""
    bits = sign * np.asarray(cost.bits, dtype=float)
    is_on = np.array([fixed.get(int(bit)) is True for bit in group], dtype=bool)
    is_free = np.array([int(bit) not in fixed for bit in group], dtype=bool)
    free = group[is_free]
    ordered = np.concatenate([group[is_on], free[np.argsort(bits[free], kind='stable')]])
    paid = sign * cost.group_costs[cost.groups[group[0]]] if cost.groups else 0.0
    options: list[tuple[float, np.ndarray]] = [(math.inf, ordered[:0])] * int(is_on.sum())
    for count in range(int(is_on.sum()), len(ordered) + 1):
        used = ordered[:count]
        options.append((math.fsum(bits[used]) + paid * bool(count), used))
    return options


def _combine(
    best: np.ndarray, chosen: list[np.ndarray], options: list[tuple[float, np.ndarray]]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The least cost of 0, 1, ... connections in one group more, and which they are."""
    sums = np.full(len(best) + len(options) - 1, math.inf)
    sources = np.zeros(len(sums), dtype=int)
    for count, (cost, _) in enumerate(options):
        window = slice(count, count + len(best))
        is_better = best + cost < sums[window]
        sums[window] = np.where(is_better, best + cost, sums[window])
        sources[window] = np.where(is_better, count, sources[window])
    bits = [
        np.concatenate([chosen[total - source], options[source][1]]) if np.isfinite(sums[total]) else chosen[0]
        for total, source in enumerate(sources)
    ]
    return sums, bits

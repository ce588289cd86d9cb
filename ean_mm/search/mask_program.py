"""Masks of least cost under linear limits, found by an integer program."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import optimize, sparse

from .added_costs import AddedCosts, Fixed


class MaskProgram:
    """Masks of least cost under limits, as an integer linear program that HiGHS solves.

    Variables are the bits, then, for each cost that is paid by the group, one per group: whether any of its bits is on.
    The solver works with tolerances of about 1e-6 of the largest coefficient: what it returns is to be checked.

    Args:
        costs: what connections add.
        bounds: the most that a cost may be, by its name.
        fixed: bits that are on or off.
        min_connected: how many bits are on at least.
    """

    def __init__(self, costs: AddedCosts, bounds: Mapping[str, float], fixed: Fixed, min_connected: int):
        self.costs, self.fixed = costs, fixed
        self.num_bits = self.num_variables = costs.num_connections
        self._firsts: dict[str, int] = {}  # where the groups of each cost begin
        for name in costs.names:
            self._firsts[name] = self.num_variables
            self.num_variables += len(costs[name].group_costs)
        self._rows: list[np.ndarray] = []  # each, times the variables, must be at least ...
        self._least: list[float] = []
        for name in costs.names:
            self._tie_groups(name)
        for name, bound in bounds.items():
            row, scale = self._row(name)
            self._add(-row, (costs[name].bare - bound) / scale)
        self._add((np.arange(self.num_variables) < self.num_bits).astype(float), min_connected)

    def minimise(self, name: str) -> np.ndarray | None:
        """The mask (n,) of least cost; None if no mask is left."""
        lower, upper = np.zeros(self.num_variables), np.ones(self.num_variables)
        for bit, value in self.fixed.items():
            lower[bit] = upper[bit] = value
        solved = optimize.milp(
            self._row(name)[0],
            integrality=np.ones(self.num_variables),
            bounds=optimize.Bounds(lower, upper),
            constraints=optimize.LinearConstraint(
                sparse.csr_array(np.stack(self._rows)), np.array(self._least), np.inf
            ),
            options={'mip_rel_gap': 0.0},
        )
        return None if solved.x is None else np.round(solved.x[: self.num_bits]).astype(bool)

    def forbid(self, mask: np.ndarray) -> None:
        """Leave one mask out: at least one bit must differ from it."""
        row = np.zeros(self.num_variables)
        row[: self.num_bits] = np.where(mask, -1.0, 1.0)
        self._add(row, 1.0 - mask.sum())

    def _add(self, row: np.ndarray, least: float) -> None:
        self._rows.append(row)
        self._least.append(least)

    def _row(self, name: str) -> tuple[np.ndarray, float]:
        """The coefficients of a cost, the largest of them 1, and by what they were divided."""
        cost, first = self.costs[name], self._firsts[name]
        row = np.zeros(self.num_variables)
        row[: self.num_bits] = cost.bits
        row[first : first + len(cost.group_costs)] = list(cost.group_costs.values())
        scale = float(np.abs(row).max()) or 1.0
        return row / scale, scale

    def _tie_groups(self, name: str) -> None:
        """A group is used as soon as one of its bits is on, and not before."""
        for group, is_member in enumerate(self.costs[name].members.values(), self._firsts[name]):
            members = np.flatnonzero(is_member)
            for bit in members:
                row = np.zeros(self.num_variables)
                row[group], row[bit] = 1.0, -1.0
                self._add(row, 0.0)
            row = np.zeros(self.num_variables)
            row[members], row[group] = 1.0, -1.0
            self._add(row, 0.0)

"""Upper bounds on what a scheme may cost, refused at once where no scheme can keep them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from ..registry import suggest
from ..structures.checks import require_number
from ..structures.shorten import shorten
from .added_costs import NUM_CONNECTED, AddedCosts, Fixed, require_space
from .mask_program import MaskProgram

TOLERANCE = 1e-9  # of a bound: how far sums of floats may be off
SOLVER_TOLERANCE = 1e-5  # of all that is added: costs which the solver may take for the same
MOST_CUTS = 1000  # answers of the solver that are refused for that

_UNITS = {'': 1.0, 'k': 1e3, 'M': 1e6, 'G': 1e9, 'T': 1e12}
_LABELS = {'latency': ' ms'}


class Limits:
    """Hard constraints of a search: no scheme may cost more than this.

    Args:
        bounds: the most that a cost may be, by its name, in base units: parameters, MACs, milliseconds, connections.
        costs: what connections add.

    Attributes:
        bounds: as given.

    Raises: ValueError if a bound is not finite or names a cost that is not known.

    >>> from ean_mm.search import AddedCost
    >>> costs = AddedCosts(3, {'macs': AddedCost(100.0, (5.0, 1.0, 2.0))})
    >>> limits = Limits.parse({'macs': '+4%', 'num_connected': 1}, costs)
    >>> limits.bounds
    {'macs': 104.0, 'num_connected': 1.0}
    >>> limits.is_allowed(np.eye(3, dtype=bool)).tolist()
    [False, True, True]
    """

    def __init__(self, bounds: Mapping[str, float], costs: AddedCosts):
        for name, bound in bounds.items():
            _require_known(name, costs)
            require_number(f'limits.{name}', bound, rule='a finite number')
        self.bounds = dict(bounds)
        self.costs = costs

    @classmethod
    def parse(cls, given: Mapping[str, float | str], costs: AddedCosts) -> Limits:
        """Read the limits of a config or a command line.

        Args:
            given: by the name of a cost, a number in base units, the same as text with k, M, G or T ('4.2G', '26M'), or a
                share on top of the network without connections ('+5%').
            costs: what connections add.

        Raises:
            ValueError: if it is no dict, a cost is not known, or a value is neither.
        """
        if not isinstance(given, Mapping):
            raise ValueError(f"`limits` must be a dict like {{'latency': '+5%'}}, but got {shorten(given)}.")
        for name in given:
            _require_known(name, costs)
        bounds = {name: parse_bound(f'limits.{name}', value, costs[name].bare) for name, value in given.items()}
        return cls(bounds, costs)

    def is_allowed(self, masks: np.ndarray) -> np.ndarray:
        """Which of masks (M, n) keep every limit, (M,) bool; up to 1e-9 of a bound, for sums of floats."""
        masks = np.asarray(masks, dtype=bool)
        kept = np.ones(len(masks), dtype=bool)
        for name, bound in self.bounds.items():
            kept &= self.costs.of(name, masks) <= _widen(bound)
        return kept

    def require_feasible(self, fixed: Fixed | None = None, min_connected: int = 0) -> np.ndarray:
        """A mask (n,) that keeps every limit.

        Each limit by itself is decided exactly; several together as integer linear programs, one per limit, which find the
        least cost among the schemes that keep the limits before it.

        Args:
            fixed: bits that are on or off in every scheme.
            min_connected: how many bits are on at least.

        Raises:
            ValueError: if no scheme keeps them all, with the limit, its value and the range that can be had; or if no scheme
                has these bits fixed and so many connected.
        """
        fixed = dict(fixed or {})
        require_space(self.costs.num_connections, fixed, min_connected)
        names = list(self.bounds) or [NUM_CONNECTED]
        cheapest = {name: self.costs[name].cheapest(fixed, min_connected) for name in names}
        for name in self.bounds:
            self._require_alone(name, cheapest[name], fixed, min_connected)
        for mask in cheapest.values():
            if self.is_allowed(mask[None])[0]:
                return mask
        return self._require_together(cheapest[names[0]], fixed, min_connected)

    def _require_alone(self, name: str, cheapest: np.ndarray, fixed: Fixed, min_connected: int) -> None:
        if self._only(name).is_allowed(cheapest[None])[0]:
            return
        low, high = self.costs.achievable_range(name, fixed, min_connected)
        raise ValueError(
            f'`limits` must leave a scheme{_describe_space(fixed, min_connected)}, but got {self._spell([name])}; '
            f'{name} can be from {_spell_value(name, low)} to {_spell_value(name, high)}.'
        )

    def _require_together(self, mask: np.ndarray, fixed: Fixed, min_connected: int) -> np.ndarray:
        """A mask that keeps every limit, from one that keeps the first."""
        names = list(self.bounds)
        for count, name in enumerate(names[1:], 1):
            mask = self._only(*names[:count])._cheapest(name, _widen(self.bounds[name]), fixed, min_connected, mask)
            if not self._only(name).is_allowed(mask[None])[0]:
                least = _spell_value(name, self.costs.of(name, mask[None])[0])
                raise ValueError(
                    f'`limits` must leave a scheme{_describe_space(fixed, min_connected)}, but got '
                    f'{self._spell(names[: count + 1])}, which cannot be kept together; '
                    f'with {self._spell(names[:count])}, {name} is at least {least}.'
                )
        return mask

    def _cheapest(self, name: str, enough: float, fixed: Fixed, min_connected: int, known: np.ndarray) -> np.ndarray:
        """A mask that keeps these limits and costs least by ``name``, or as little as is ``enough``.

        The solver rounds: an answer is checked, and forbidden to it if it was wrong or a better one may be this close.

        Args:
            known: a mask that keeps these limits.
        """
        bounds = {each: _widen(bound) for each, bound in self.bounds.items()}
        program = MaskProgram(self.costs, bounds, fixed, min_connected)
        cost, best = self.costs[name], known
        for _ in range(MOST_CUTS):
            found = program.minimise(name)
            if found is None:
                break
            value = cost.of(found[None])[0]
            if self.is_allowed(found[None])[0] and value < cost.of(best[None])[0]:
                best = found
            if cost.of(best[None])[0] <= enough or value > enough + SOLVER_TOLERANCE * cost.scale:
                break
            program.forbid(found)
        return best

    def _only(self, *names: str) -> Limits:
        return Limits({name: self.bounds[name] for name in names}, self.costs)

    def _spell(self, names: list[str]) -> str:
        return _join([f'{name} <= {_spell_value(name, self.bounds[name])}' for name in names])


def parse_bound(argument: str, value: float | str, bare: float) -> float:
    """A limit in base units.

    Args:
        argument: what the user calls it, for the message.
        value: a number, the same as text with k, M, G or T, or a share on top of ``bare`` like '+5%'.
        bare: cost of the network without connections.

    Raises:
        ValueError: if it is none of these.

    >>> parse_bound('macs', '4.2G', bare=4e9), parse_bound('macs', '+5%', bare=4e9)
    (4200000000.0, 4200000000.0)
    """
    if isinstance(value, str):
        share = re.fullmatch(r'\s*([+-]\d+(?:\.\d+)?)\s*%\s*', value)
        if share and bare > 0:
            return bare + bare * float(share[1]) / 100
        number = re.fullmatch(r'\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([kMGT]?)\s*', value)
        if number:
            return float(number[1]) * _UNITS[number[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    rule = "a number, text like '26M', or a share on top like '+5%'" if bare > 0 else 'a number'
    raise ValueError(f'`{argument}` must be {rule}, but got {shorten(value)}.')


def _require_known(name: str, costs: AddedCosts) -> None:
    if name not in costs:
        known = ', '.join(map(repr, costs.names))
        raise ValueError(
            f'`limits` must name costs that were counted or measured ({known}), but got {shorten(name)}; '
            f'{suggest(str(name), costs.names, "have it measured first.")}'
        )


def _widen(bound: float) -> float:
    return bound + TOLERANCE * abs(bound)


def _describe_space(fixed: Fixed, min_connected: int) -> str:
    on, off = (sum(bool(value) is wanted for value in fixed.values()) for wanted in (True, False))
    facts = [f'at least {min_connected} connected'] * bool(min_connected)
    facts += [f'{on} fixed on'] * bool(on) + [f'{off} fixed off'] * bool(off)
    return f' with {_join(facts)}' if facts else ''


def _spell_value(name: str, value: float) -> str:
    digits = f'{value:,.0f}' if float(value).is_integer() else f'{value:.7g}'
    return digits + _LABELS.get(name, '')


def _join(texts: list[str]) -> str:
    return ' and '.join([', '.join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)

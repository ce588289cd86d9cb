"""Checks of arguments: one sentence with the value, or the value itself."""

from __future__ import annotations

import math
import re
from collections.abc import Collection


def require_whole(name: str, value: int, least: int) -> int:
    """Return ``value``, a whole number of at least ``least``.

    Raises:
        ValueError: if it is anything else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f'`{name}` must be a whole number of at least {least}, but got {value!r}.')
    return value


def require_number(name: str, value: float, least: float = -math.inf, most: float = math.inf, *, rule: str) -> float:
    """Return ``value``, a finite number in [least, most]; ``rule`` is how the message puts that.

    Raises:
        ValueError: if it is anything else.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f'`{name}` must be {rule}, but got {value!r}.')
    return value


def require_one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """Return ``value``, one of ``allowed``.

    Raises:
        ValueError: if it is anything else.
    """
    if value not in allowed:
        raise ValueError(f'`{name}` must be one of {tuple(allowed)}, but got {value!r}.')
    return value


def require_bytes(name: str, value: int | str) -> int:
    """Return a number of bytes, given as one or as text like '2GiB' or '500 MB'.

    Raises:
        ValueError: if it is neither.

    >>> require_bytes('budget', '1.5 GiB')
    1610612736
    """
    if isinstance(value, str):
        match = re.fullmatch(r'\s*(\d+(?:\.\d+)?)\s*([kKMGT]i?)?B\s*', value)
        if match:
            number, unit = match.groups(default='')
            base = 1024 if unit.endswith('i') else 1000
            return int(float(number) * base ** ' KMGT'.index(unit[:1].upper() or ' '))
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"`{name}` must be a number of bytes, like '2GiB', but got {value!r}.")

"""Checks of arguments that several data sets share."""

from __future__ import annotations


def require_whole(name: str, value: int, least: int) -> int:
    """Return ``value``, a whole number of at least ``least``.

    Raises:
        ValueError: if it is anything else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f'`{name}` must be a whole number of at least {least}, but got {value!r}.')
    return value


def require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return ``value``, one of ``allowed``.

    Raises:
        ValueError: if it is anything else.
    """
    if value not in allowed:
        raise ValueError(f'`{name}` must be one of {allowed}, but got {value!r}.')
    return value

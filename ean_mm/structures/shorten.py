"""Values in error messages, cut to what a reader can take in."""

from __future__ import annotations

import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxdict = 6
_SHORT.maxlist = _SHORT.maxtuple = 20
_SHORT.maxlevel = 3


def shorten(value: object) -> str:
    """``repr`` with long values cut in the middle.

    >>> len(shorten('x' * 10_000))
    80
    """
    return _SHORT.repr(value)


def shorten_difference(old: str, new: str) -> tuple[str, str]:
    """Both texts, long ones cut to the surroundings of where they begin to differ.

    >>> shorten_difference('x' * 1000 + 'depth=50', 'x' * 1000 + 'depth=101')
    ("'...xxxxxxxxxxxxxxxxxxxxxxxxdepth=50'", "'...xxxxxxxxxxxxxxxxxxxxxxxxdepth=101'")
    """
    pairs = enumerate(zip(old, new, strict=False))
    differing = next((index for index, (a, b) in pairs if a != b), min(len(old), len(new)))
    start = max(0, differing - 30)
    return _excerpt(old, start), _excerpt(new, start)


def _excerpt(text: str, start: int, length: int = 80) -> str:
    if len(text) <= length:
        return repr(text)
    cut = text[start : start + length]
    return repr(('...' if start else '') + cut + ('...' if start + length < len(text) else ''))

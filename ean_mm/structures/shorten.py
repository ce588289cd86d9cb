"""Values in error messages, kept to one readable line."""

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

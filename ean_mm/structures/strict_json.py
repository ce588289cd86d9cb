"""JSON from anywhere, read by one strict function with one kind of error."""

from __future__ import annotations

import json
import math
import re

from .shorten import shorten

MAX_BYTES = 64 * 1024
MAX_DEPTH = 8
MAX_INTEGER = 2**63 - 1

_SURROGATES = re.compile('[\ud800-\udfff]')


def read_strict_json(text: str | bytes) -> dict:
    """Read one JSON object.

    Refused beyond what JSON itself forbids: more than ``MAX_BYTES``, a byte order mark, keys given
    twice, NaN and infinities, whole numbers beyond 64 bits, halves of surrogate pairs, and values
    nested deeper than ``MAX_DEPTH``.

    Raises:
        ValueError: with one sentence, for anything refused.

    >>> read_strict_json('{"version": 1}')
    {'version': 1}
    """
    text = _decode(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_refuse_duplicates,
            parse_int=_parse_integer,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as err:
        raise ValueError(
            f'the text must be JSON, but got {shorten(text[err.pos : err.pos + 20])} at line '
            f'{err.lineno}, column {err.colno} ({err.msg}).'
        ) from err
    except RecursionError as err:
        raise ValueError(f'values must be nested at most {MAX_DEPTH} deep, but got far more.') from err
    if not isinstance(value, dict):
        raise ValueError(f'the text must be one JSON object, but got {shorten(value)}.')
    check_json_value(value)
    return value


def check_json_value(value: object, *path: str | int) -> None:
    """Check that ``value`` is one that :func:`read_strict_json` could return.

    Args:
        value: what to check.
        path: where it stands, for the message.

    Raises:
        ValueError: naming the place, if it is not.
    """
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    else:
        _check_scalar(value, path)
        return
    if len(path) >= MAX_DEPTH:
        raise ValueError(f'values must be nested at most {MAX_DEPTH} deep, but got more.')
    for key, child in children:
        if isinstance(value, dict):
            _check_text(key, (*path, key))
        check_json_value(child, *path, key)


def _decode(text: str | bytes) -> str:
    data = text.encode('utf-8', 'surrogatepass') if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise ValueError(f'the text must have at most {MAX_BYTES} bytes, but got {len(data)}.')
    try:
        decoded = data.decode('utf-8')
    except UnicodeDecodeError as err:
        raise ValueError(f'the text must be UTF-8, but got {data[err.start : err.end]!r} at byte {err.start}.') from err
    if decoded.startswith('\ufeff'):
        raise ValueError("the text must start with '{', but got a byte order mark.")
    return decoded


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict:
    value: dict[str, object] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f'keys must be given once, but got {shorten(key)} twice.')
        value[key] = item
    return value


def _parse_integer(digits: str) -> int:
    if len(digits) > len(str(-MAX_INTEGER)) or abs(int(digits)) > MAX_INTEGER:
        raise ValueError(f'whole numbers must fit in 64 bits, but got {shorten(digits)}.')
    return int(digits)


def _refuse_constant(name: str) -> float:
    raise ValueError(f'numbers must be finite, but got {name}.')


def _check_scalar(value: object, path: tuple[str | int, ...]) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError(f'{_spell(path)} must fit in 64 bits, but got a larger number.')
    elif not isinstance(value, float) or not math.isfinite(value):
        raise ValueError(f'{_spell(path)} must be a finite JSON value, but got {shorten(value)}.')


def _check_text(value: object, path: tuple[str | int, ...]) -> None:
    if not isinstance(value, str) or _SURROGATES.search(value):
        raise ValueError(f'{_spell(path)} must be valid Unicode, but got {shorten(value)}.')


def _spell(path: tuple[str | int, ...]) -> str:
    name = '.'.join(str(key) for key in path).encode('ascii', 'backslashreplace').decode()
    return f'`{shorten(name)[1:-1]}`'

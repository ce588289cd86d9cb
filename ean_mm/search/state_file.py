"""The state of a search as bytes: plain values, sealed, read without running code."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import torch

from ..structures import DamagedFileError, seal, unseal

FORMAT = 'ean_mm.search_state'
VERSION = 1


class SearchStateError(ValueError):
    """A work directory that this search cannot use or continue from."""


@dataclass(frozen=True)
class SavedState:
    """What a state file holds.

    Attributes:
        identity: what the search is, field by field.
        log_bytes: how much of the log belongs to this state.
        log_sha256: digest of that part of the log.
        content: what the search needs to continue; tensors, numbers, strings, lists and dicts.
    """

    identity: dict[str, str]
    log_bytes: int
    log_sha256: str
    content: dict[str, Any]


_KINDS = {'identity': dict, 'log_bytes': int, 'log_sha256': str, 'content': dict}


def dump_state(state: SavedState) -> bytes:
    """Turn a state into the bytes of a file."""
    buffer = io.BytesIO()
    fields = {field: getattr(state, field) for field in _KINDS}
    torch.save({'format': FORMAT, 'version': VERSION, **fields}, buffer)
    return seal(buffer.getvalue())


def parse_state(data: bytes, name: str) -> SavedState:
    """Read what :func:`dump_state` wrote.

    Args:
        data: the bytes of the file.
        name: of the file, for the message.

    Raises:
        DamagedFileError: if it was something else or has changed since; nothing in it is run.
        SearchStateError: if another version of this format wrote it.
    """
    fields = _read_plain(unseal(data))
    if not isinstance(fields, dict) or fields.get('format') != FORMAT:
        raise DamagedFileError(f"`format` must be {FORMAT!r}, but got another; {name} is not a search's state.")
    if fields.get('version') != VERSION:
        raise SearchStateError(
            f'`version` must be {VERSION}, but got {fields.get("version")!r} in {name}; use the '
            'ean_mm that wrote it, or pass --restart to move that search aside.'
        )
    for field, kind in _KINDS.items():
        if not isinstance(fields.get(field), kind):
            raise DamagedFileError(f'`{field}` must be of type {kind.__name__}, but got {type(fields.get(field))}.')
    return SavedState(**{field: fields[field] for field in _KINDS})


def _read_plain(payload: bytes) -> object:
    try:
        return torch.load(io.BytesIO(payload), map_location='cpu', weights_only=True)
    except Exception as err:  # of many types, by what a forger put in; the seal alone is no proof
        raise DamagedFileError(
            '`payload` must hold plain tensors and values, but got something that torch.load '
            f'refuses with weights_only=True ({type(err).__name__}); it is damaged or foreign.'
        ) from err

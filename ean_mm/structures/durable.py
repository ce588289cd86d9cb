"""Files that are never seen half-written and never read with a changed byte."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

_MAGIC = b'ean_mm sealed 1\n'
_DIGEST_BYTES = hashlib.sha256().digest_size
_TEMP_SUFFIX = '.tmp'

Observer = Callable[[str], None]
_observer: Observer | None = None


class DamagedFileError(ValueError):
    """The content of a file is not what was written."""


def observe_points(observer: Observer | None) -> None:
    """Have ``observer`` called with the name of each point that a write reaches; None ends it.

    Tests end a process at a chosen point with it. Names are ``'<file>: <what has happened>'``.
    """
    global _observer
    _observer = observer


def reach_point(name: str) -> None:
    """Say that the point ``name`` of a write is reached."""
    if _observer is not None:
        _observer(name)


def write_atomically(path: str | os.PathLike, data: bytes, previous: str | os.PathLike | None = None) -> None:
    """Replace the content of a file so that at any moment it is the old one or the new one.

    A temporary file beside it is written, flushed to the disk and renamed; then the folder's entry
    is flushed. A symbolic link at ``path`` is replaced, not followed.

    Args:
        path: the file.
        data: its new content.
        previous: where the old file, if any, goes; a process that dies between the two renames
            leaves the old content there and no file at ``path``.

    Raises:
        OSError: if a step fails, with the path in it; the old content is then at ``path``, or at
            ``previous`` if only the last rename failed.
    """
    path = Path(path)
    temp = path.with_name(f'.{path.name}.{secrets.token_hex(8)}{_TEMP_SUFFIX}')
    try:
        _write_new(temp, data, path.name)
        if previous is not None and path.exists():
            os.replace(path, previous)
            reach_point(f'{path.name}: moved')
        os.replace(temp, path)
    except BaseException as err:
        temp.unlink(missing_ok=True)
        if isinstance(err, OSError) and err.errno is not None:
            raise OSError(err.errno, err.strerror, str(path)) from err
        raise
    reach_point(f'{path.name}: replaced')
    sync_directory(path.parent)
    reach_point(f'{path.name}: done')


def _write_new(path: Path, data: bytes, name: str) -> None:
    # 'x' neither follows a link nor opens a file that somebody else prepared.
    with open(path, 'xb') as file:
        file.write(data)
        file.flush()
        reach_point(f'{name}: written')
        os.fsync(file.fileno())
        reach_point(f'{name}: synced')


def sync_directory(directory: str | os.PathLike) -> None:
    """Flush the entries of a folder to the disk, where the system can."""
    if os.name != 'posix':
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_orphans(directory: str | os.PathLike, names: tuple[str, ...]) -> list[Path]:
    """Delete the temporary files that killed writers of ``names`` left, and return them.

    Only for a folder that nobody else is writing to.
    """
    orphans = [
        found for name in names for found in sorted(Path(directory).glob(f'.{name}.{"[0-9a-f]" * 16}{_TEMP_SUFFIX}'))
    ]
    for orphan in orphans:
        orphan.unlink()
    return orphans


def seal(payload: bytes) -> bytes:
    """Put the SHA-256 of ``payload`` in front of it."""
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def unseal(data: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        DamagedFileError: if ``data`` was not made by :func:`seal` or has changed since.

    >>> unseal(seal(b'state'))
    b'state'
    """
    if not data.startswith(_MAGIC):
        raise DamagedFileError(
            f'`data` must start with {_MAGIC!r}, but got {data[: len(_MAGIC)]!r}; it is empty, '
            'damaged or was not written by this program.'
        )
    digest = data[len(_MAGIC) : len(_MAGIC) + _DIGEST_BYTES]
    payload = data[len(_MAGIC) + _DIGEST_BYTES :]
    found = hashlib.sha256(payload).digest()
    if found != digest:
        raise DamagedFileError(
            f'`data` must have the SHA-256 {digest.hex()!r}, but got {found.hex()!r} over '
            f'{len(payload)} bytes; it is damaged.'
        )
    return payload

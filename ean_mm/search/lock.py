"""One writer per folder, for as long as its process lives."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from filelock import FileLock, Timeout

from ..structures import write_atomically

LOCK_FILE = 'search.lock'
OWNER_FILE = 'search.owner'
SECONDS_TO_NAME_THE_OWNER = 1.0


class WriterLock:
    """A lock on a folder that the operating system releases when its process ends, however it ends.

    Beside the lock stands a file with the owner's process id and host, for the message that others
    get; it locks nothing.

    Args:
        directory: the folder; it must exist.
    """

    def __init__(self, directory: Path):
        self._lock = FileLock(directory / LOCK_FILE, timeout=0)
        self._owner_file = directory / OWNER_FILE

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock.is_locked

    def acquire(self) -> str | None:
        """Take the lock; return None, or who has it.

        Raises:
            OSError: if the folder cannot be written.
        """
        try:
            self._lock.acquire()
        except Timeout:
            return self._wait_for_owner()
        try:
            write_atomically(self._owner_file, f'{os.getpid()} {socket.gethostname()}\n'.encode())
        except BaseException:
            self._lock.release()
            raise
        return None

    def release(self) -> None:
        """Give the lock back."""
        if self.is_held:
            self._owner_file.unlink(missing_ok=True)
            self._lock.release()

    def _wait_for_owner(self) -> str:
        """Name the owner; the file of one that was killed may still stand for a moment."""
        deadline = time.monotonic() + SECONDS_TO_NAME_THE_OWNER
        while True:
            owner = self._read_owner()
            if owner is not None:
                return f'process {owner[0]} on {owner[1]}'
            if time.monotonic() > deadline:
                return 'a process that has not left its name'
            time.sleep(0.02)

    def _read_owner(self) -> tuple[int, str] | None:
        try:
            pid, host = self._owner_file.read_text(encoding='utf-8').split()
        except (OSError, ValueError):
            return None
        if not pid.isdecimal() or (host == socket.gethostname() and not _is_running(int(pid))):
            return None
        return int(pid), host


def _is_running(pid: int) -> bool:
    if os.name != 'posix':  # there, signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

"""Errors of the tools: one sentence where the user can help, a traceback where only a programmer can."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn an error that this package raises on purpose into one sentence and exit code 1.

    Errors of other packages keep their traceback, and so does everything when EAN_MM_TRACEBACK is set.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.exit('Interrupted; the same command continues.')
    except (ValueError, TypeError, RuntimeError, OSError, ImportError) as err:
        if os.environ.get('EAN_MM_TRACEBACK') or not _raised_here(err):
            raise
        sys.exit(f'error: {err}')


def _raised_here(err: BaseException) -> bool:
    package = str(Path(__file__).parents[1])
    frames = traceback.extract_tb(err.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(package)

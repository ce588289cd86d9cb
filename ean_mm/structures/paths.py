"""Paths in what people read."""

from __future__ import annotations

from pathlib import Path


def from_here(path: Path) -> Path:
    """The path as a user in the current folder would type it."""
    path, here = Path(path).absolute(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path

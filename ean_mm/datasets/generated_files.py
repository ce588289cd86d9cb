"""Files that are generated once and read by everybody: safe to start from several processes, to break off, to extend."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock
from mmengine.logging import print_log

from ..structures.strict_json import read_strict_json

TEMP_NAME = '.unfinished'


def complete_files(
    stamp_file: Path,
    stamp: dict,
    paths: Sequence[tuple[Path, ...]],
    encode: Callable[[int], tuple[bytes, ...]],
) -> None:
    """Write those files that are not there yet.

    The stamp says what the files were made from and is written before them, so a folder never holds
    files of two kinds. One process writes, others wait for it; a file appears under its name when it
    is whole, so what a killed process left is completed by the next. Where nothing is missing, nothing
    is written and no lock is taken, so the files may lie on a read-only disk.

    Args:
        stamp_file: where the stamp stands.
        stamp: what the files are made from; JSON values.
        paths: the files of each sample, in folders of their own.
        encode: makes the contents of the files of sample i.

    Raises:
        ValueError: if the folders hold files made from something else.
    """
    if stamp_file.exists() and not _find_missing(stamp_file, stamp, paths):
        return
    stamp_file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(stamp_file.with_suffix('.lock')):
        if not stamp_file.exists():
            _require_empty(stamp_file, paths)
            _write(stamp_file, json.dumps(stamp, indent=1).encode())
        missing = _find_missing(stamp_file, stamp, paths)
        if missing:
            print_log(f'Generating {len(missing)} of {len(paths)} samples in {stamp_file.parent}', logger='current')
        for index in missing:
            for path, content in zip(paths[index], encode(index), strict=True):
                _write(path, content)


def _find_missing(stamp_file: Path, stamp: dict, paths: Sequence[tuple[Path, ...]]) -> list[int]:
    """The samples that lack a file, after a look at the stamp."""
    _require_same(stamp_file, stamp)
    present = {folder: _list(folder) for folder in {path.parent for files in paths for path in files}}
    return [index for index, files in enumerate(paths) if any(path.name not in present[path.parent] for path in files)]


def _list(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _require_same(stamp_file: Path, stamp: dict) -> None:
    try:
        found = read_strict_json(stamp_file.read_bytes())
    except ValueError as err:
        raise ValueError(
            f'`data_root` must hold generated files and their stamp, but got {str(stamp_file)!r}, which is damaged: '
            f'{err}; delete the files and it, or name another folder.'
        ) from err
    wanted = json.loads(json.dumps(stamp))  # as they read after being written: tuples are lists
    if found == wanted:
        return
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    there, asked = ({name: facts.get(name) for name in names} for facts in (found, wanted))
    raise ValueError(
        f'`data_root` must hold files generated from {asked!r}, but got {str(stamp_file)!r} with {there!r}; '
        'name another folder, or delete the stamp and its files.'
    )


def _require_empty(stamp_file: Path, paths: Sequence[tuple[Path, ...]]) -> None:
    for folder in {path.parent: None for files in paths for path in files}:
        names = sorted(_list(folder))
        if names:
            raise ValueError(
                f'`data_root` must hold no files but generated ones, but got {str(folder / names[0])!r} '
                f'without a stamp {str(stamp_file)!r}; name another folder.'
            )


def _write(path: Path, content: bytes) -> None:
    """Put a whole file at ``path``; under the lock one name for unfinished files is enough."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(TEMP_NAME)
    temp.write_bytes(content)
    os.replace(temp, path)

"""Which file of a segmentation data set is missing: an image of its list, or the label map of an image."""

from __future__ import annotations

import os
from pathlib import Path


def find_missing_pair(dataset: dict, suffixes: tuple[str, str]) -> str | None:
    """Compare the images that a segmentation data set would read with the files in its folders.

    Each folder is listed once and no file is opened, so that a label map which was never written is noticed before training and
    not in its middle. The folders and the list exist.

    Args:
        dataset: config of the data set, in mmseg's format (``data_prefix`` with ``img_path`` and ``seg_map_path``, and
            ``ann_file`` where it has a list of images).
        suffixes: how the names of its images and of its label maps end.

    Returns:
        The first path that is missing, or None.
    """
    root, prefix = dataset.get('data_root') or '', dataset.get('data_prefix')
    if not isinstance(prefix, dict) or dataset.get('backend_args') or '://' in root:
        return None
    folders = [Path(root, prefix[key]) for key in ('img_path', 'seg_map_path') if prefix.get(key) is not None]
    files = [_list_files(folder) for folder in folders]
    suffixes = (dataset.get('img_suffix', suffixes[0]), dataset.get('seg_map_suffix', suffixes[1]))
    if dataset.get('ann_file'):
        lines = Path(root, dataset['ann_file']).expanduser().read_text(encoding='utf-8').splitlines()
        names = [line.strip() for line in lines if line.strip()]
    else:
        names = sorted(name.removesuffix(suffixes[0]) for name in files[0] if name.endswith(suffixes[0]))
    if not names:
        return str(folders[0] / f'*{suffixes[0]}')
    wanted = ((at, name + suffixes[at]) for name in names for at in range(len(folders)))
    return next((str(folders[at] / name) for at, name in wanted if name not in files[at]), None)


def _list_files(folder: Path) -> set[str]:
    """Names of all files below a folder, relative to it."""
    folder = folder.expanduser()
    below = ((Path(parent).relative_to(folder), names) for parent, _, names in os.walk(folder, followlinks=True))
    return {(parent / name).as_posix() for parent, names in below for name in names}

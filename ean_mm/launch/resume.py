"""Find where an interrupted supernet training left off."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from ..evaluation import SupernetError, load_supernet
from ..hooks.identity import require_same_training, training_identity


def find_checkpoint(cfg: Config) -> Path | None:
    """Return the newest checkpoint of this very training in the work directory; None if there is none.

    A checkpoint that a killed process left half-written is passed over with a warning.

    Raises:
        SupernetError: if the newest good one belongs to another training.
    """
    for path in _newest_first(Path(cfg.work_dir)):
        try:
            load_supernet(path)
        except SupernetError as err:
            print_log(f'Passing over {path}: {err}', logger='current', level=logging.WARNING)
            continue
        meta = torch.load(path, map_location='cpu', weights_only=True).get('meta', {})
        require_same_training(meta.get('ean_mm_identity', {}), training_identity(cfg), path)
        return path
    return None


def _newest_first(directory: Path) -> list[Path]:
    numbered = []
    for path in directory.glob('*.pth'):
        match = re.fullmatch(r'(?:epoch|iter)_(\d+)', path.stem)
        if match:
            numbered.append((int(match[1]), path))
    return [path for _, path in sorted(numbered, reverse=True)]

"""What trained networks say about the first test images, as maps that can be drawn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from ..structures import write_atomically
from ..visualization import Prediction

NUM_IMAGES = 6
PREDICTIONS_FILE = 'predictions.npz'
_KINDS = ('sem_seg', 'density')


def predict(model: BaseModel, dataloader: DataLoader, directory: Path) -> None:
    """Save what a network predicts for the first test images; nothing if that cannot be drawn.

    Args:
        model: makes samples with ``gt_sem_seg`` and ``pred_sem_seg``, or ``gt_density`` and ``pred_density``.
        dataloader: of the test images, whose channels are in MM's order: blue, green, red.
        directory: of the training run.
    """
    dataset = cast(Any, dataloader.dataset)
    palette = getattr(dataset, 'metainfo', {}).get('palette')
    arrays: dict[str, np.ndarray] = {} if palette is None else {'palette': np.array(palette, dtype=np.uint8)}
    model.eval()
    for index in range(min(NUM_IMAGES, len(dataset))):
        packed = dataset[index]
        with torch.no_grad():
            sample = model.test_step(cast(Any, dataloader.collate_fn)([packed]))[0]
        kind = next((kind for kind in _KINDS if f'gt_{kind}' in sample and f'pred_{kind}' in sample), None)
        if kind is None or (kind == 'sem_seg') != (palette is not None):
            return
        arrays[f'image_{index}'] = packed['inputs'].permute(1, 2, 0).to(torch.uint8).numpy()[..., ::-1]
        for role in ('gt', 'pred'):
            arrays[f'{role}_{index}'] = getattr(sample, f'{role}_{kind}').data[0].cpu().numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **cast(Any, arrays))
    write_atomically(directory / PREDICTIONS_FILE, buffer.getvalue())


def load_predictions(directory: Path) -> list[Prediction]:
    """Read what :func:`predict` has saved; empty if it saved nothing."""
    path = directory / PREDICTIONS_FILE
    if not path.exists():
        return []
    with np.load(path) as file:
        palette = file.get('palette')
        count = sum(name.startswith('image_') for name in file)
        return [
            Prediction(file[f'image_{index}'], file[f'gt_{index}'], file[f'pred_{index}'], palette)
            for index in range(count)
        ]

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
_MAPS = {'sem_seg': 'labels', 'density': 'density'}


def predict(model: BaseModel, dataloader: DataLoader, directory: Path) -> None:
    """Save what a network predicts for the first test images; nothing if its samples have no maps.

    Args:
        model: makes samples with ``gt_sem_seg`` and ``pred_sem_seg``, or ``gt_density`` and ``pred_density``.
        dataloader: of the test images.
        directory: of the training run.
    """
    dataset = cast(Any, dataloader.dataset)
    packed = [dataset[index] for index in range(min(NUM_IMAGES, len(dataset)))]
    model.eval()
    with torch.no_grad():
        samples = [model.test_step(cast(Any, dataloader.collate_fn)([each]))[0] for each in packed]
    swaps = bool(getattr(model.data_preprocessor, 'channel_conversion', False))
    arrays: dict[str, np.ndarray] = {}
    for index, (each, sample) in enumerate(zip(packed, samples, strict=True)):
        kind = next((name for name in _MAPS if f'gt_{name}' in sample and f'pred_{name}' in sample), None)
        if kind is None:
            return
        image = each['inputs'].permute(1, 2, 0).numpy()
        arrays[f'image_{index}'] = image[..., ::-1] if swaps else image
        for role in ('gt', 'pred'):
            arrays[f'{role}_{index}'] = getattr(sample, f'{role}_{kind}').data[0].cpu().numpy()
        arrays[f'kind_{index}'] = np.array(_MAPS[kind])
    palette = dataset.metainfo.get('palette')
    if palette is not None:
        arrays['palette'] = np.array(palette, dtype=np.uint8)
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
            Prediction(
                image=file[f'image_{index}'],
                truth=file[f'gt_{index}'],
                predicted=file[f'pred_{index}'],
                palette=palette if str(file[f'kind_{index}']) == 'labels' else None,
            )
            for index in range(count)
        ]

"""A config that is deployed with random weights in a second, and what reads the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from ean_mm.registry import MODELS

PLAIN = dict(
    type='mmpretrain.ResNet_CIFAR',
    depth=18,
    num_stages=3,
    base_channels=8,
    stem_channels=8,
    strides=(1, 2, 2),
    dilations=(1, 1, 1),
    out_indices=(2,),
)
FEW = dict(num_images=60, num_calibration_images=40)


def images_of(model: Any) -> Tensor:
    """Four images, as the network sees them."""
    raw = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return model.data_preprocessor(dict(inputs=list(raw)), False)['inputs']


def logits_of(model: Any, x: Tensor) -> Any:
    with torch.no_grad():
        return model.eval()(x, mode='tensor')


def load(folder: Path) -> Any:
    """The network that the written config builds, with the written weights."""
    written = Config.fromfile(folder / 'deployed.py')
    init_default_scope(written.default_scope)
    model: Any = MODELS.build(written.model)
    model.load_state_dict(torch.load(folder / 'deployed.pth', weights_only=True)['state_dict'], strict=True)
    return model.eval()


def backbone_of(folder: Path) -> Any:
    """The written config's backbone."""
    return Config.fromfile(folder / 'deployed.py').model.backbone


def results_of(folder: Path) -> dict:
    return json.loads((folder / 'deployed.json').read_text())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())

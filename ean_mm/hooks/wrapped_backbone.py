"""Find the wrapped backbone of a model, whatever wraps the model."""

from __future__ import annotations

from typing import cast

from mmengine.model import is_model_wrapper
from torch import nn

from ..models import EANBackbone


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside a data-parallel wrapper."""
    return cast(nn.Module, model.module) if is_model_wrapper(model) else model


def find_backbone(model: nn.Module) -> EANBackbone:
    """Return the model's one ``EANBackbone``.

    Raises:
        ValueError: if there is none, or more than one.
    """
    found = [module for module in model.modules() if isinstance(module, EANBackbone)]
    if len(found) != 1:
        raise ValueError(
            f'`model` must contain one ean_mm.EANBackbone, but got {len(found)} in {type(unwrap(model)).__name__!r}; '
            "wrap the backbone: dict(type='ean_mm.EANBackbone', backbone=dict(...), attention=dict(...))."
        )
    return found[0]

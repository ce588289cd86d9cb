"""Find the wrapped backbone of a model, or its config, whatever wraps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from mmengine.model import is_model_wrapper
from torch import nn

from ..models import EANBackbone

WRAPPERS = ('EANBackbone', 'AugmentedBackbone')


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside a data-parallel wrapper."""
    return cast(nn.Module, model.module) if is_model_wrapper(model) else model


def find_backbone(model: nn.Module) -> EANBackbone:
    """Return the model's one ``EANBackbone``, or ``AugmentedBackbone``, which is one.

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


def find_backbone_config(model: dict) -> dict:
    """Return the config of the wrapped backbone inside a model's config, to be read or changed.

    Raises:
        ValueError: if there is none.
    """
    for part in iter_parts(model):
        if type_name(part) in WRAPPERS:
            return part
    raise ValueError(
        f"`model` must contain a backbone of type 'ean_mm.EANBackbone', but got {type_name(model)!r} without one; "
        "wrap the backbone: dict(type='ean_mm.EANBackbone', backbone=dict(...), attention=dict(...))."
    )


def type_name(cfg: dict) -> str:
    """The type of a config, a name or a class, without its scope."""
    kind = cfg.get('type', '')
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', str(kind))


def iter_parts(node: Any) -> Iterator[dict]:
    """Every dict inside ``node``, itself included."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from iter_parts(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from iter_parts(value)

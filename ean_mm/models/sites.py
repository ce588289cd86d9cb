"""Where a residual branch ends: the sites of a backbone at which attention may act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Site:
    """The end of one residual branch.

    Attributes:
        block: the residual block.
        slot: name of the block's child whose output is the residual branch.
        stage: 0-based number of the stage.
        index: 0-based number of the block in its stage.
        channels: width of the branch.
    """

    block: nn.Module
    slot: str
    stage: int
    index: int
    channels: int


@dataclass(frozen=True)
class BlockKind:
    """How to read a kind of residual block: the child that ends its branch, and the norm that tells the width."""

    slot: Callable[[Any], str]
    norm: Callable[[Any], str]


_KINDS: dict[str, BlockKind] = {}


def register_residual_block(
    name: str,
    slot: Callable[[Any], str],
    norm: Callable[[Any], str] | None = None,
) -> None:
    """Teach ``find_sites`` a kind of residual block.

    Args:
        name: class name of the block; subclasses are found by it too.
        slot: gives the name of the child of a block whose output is the residual branch, before the shortcut is added.
        norm: gives the name of the block's last norm, which tells the width; the slot itself by default.

    >>> register_residual_block('MyBlock', slot=lambda block: 'bn2')
    """
    _KINDS[name] = BlockKind(slot, norm or slot)


register_residual_block('BasicBlock', slot=lambda block: block.norm2_name)
register_residual_block('Bottleneck', slot=lambda block: block.norm3_name)
register_residual_block('SEBottleneck', slot=lambda block: 'se_layer', norm=lambda block: block.norm3_name)


def find_sites(backbone: nn.Module) -> list[Site]:
    """List the sites of a backbone in forward order; blocks with one parent module are one stage.

    Raises:
        ValueError: if the backbone has no residual block of a known kind, or blocks of one stage differ in width.
    """
    parents: list[str] = []
    per_stage: list[list[Site]] = []
    for name, module in backbone.named_modules():
        kind = _kind_of(module)
        if kind is None:
            continue
        parent = name.rpartition('.')[0]
        if parent not in parents:
            parents.append(parent)
            per_stage.append([])
        stage = per_stage[parents.index(parent)]
        stage.append(_read_site(module, kind, parents.index(parent), len(stage)))
    if not per_stage:
        raise ValueError(
            f'`backbone` must have residual blocks ({", ".join(_KINDS)}), but got {type(backbone).__name__!r}; '
            'ean_mm.models.register_residual_block teaches it another kind.'
        )
    for stage in per_stage:
        if len({site.channels for site in stage}) > 1:
            raise ValueError(
                '`backbone` must keep one width per stage, '
                f'but got {[site.channels for site in stage]!r} in stage {stage[0].stage}.'
            )
    return [site for stage in per_stage for site in stage]


def _kind_of(module: nn.Module) -> BlockKind | None:
    for cls in type(module).__mro__:
        if cls.__name__ in _KINDS:
            return _KINDS[cls.__name__]
    return None


def _read_site(block: nn.Module, kind: BlockKind, stage: int, index: int) -> Site:
    try:
        norm = getattr(block, kind.norm(block))
        slot = kind.slot(block)
        getattr(block, slot)
    except AttributeError as err:
        raise ValueError(
            f'`backbone` must be built of MM residual blocks, but got a {type(block).__name__!r} of '
            f'{type(block).__module__} ({err}); ean_mm.models.register_residual_block teaches it.'
        ) from err
    return Site(block, slot, stage, index, _width(norm))


def _width(norm: Any) -> int:
    for name in ('num_features', 'num_channels'):
        if hasattr(norm, name):
            return int(getattr(norm, name))
    return int(norm.normalized_shape[0])

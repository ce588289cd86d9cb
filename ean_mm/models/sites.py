"""Where attention may act in a backbone: one site per residual block, grouped into stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from .residual_blocks import ResidualBlock, find_kind, merge_residual_blocks

# Containers whose siblings continue the same stages: module k of an HRNet stage goes on with the branches of module k - 1.
_CONTINUED = ('HRModule', 'HighResolutionModule')
_WIDTHS = ('num_features', 'num_channels', 'normalized_shape', 'out_channels', 'out_features')
_SHOWN = 4


@dataclass(frozen=True)
class Site:
    """A place in one residual block: the end of its branch, or a convolution.

    Attributes:
        block: the residual block.
        slot: path in the block of the child at which the branch ends, or of the convolution.
        comes_first: True if attention acts on the child's input, False if on its output.
        stage: 0-based number of the stage.
        index: 0-based number of the block among those of its stage that have a site.
        channels: width of the child's output.
    """

    block: nn.Module
    slot: str
    comes_first: bool
    stage: int
    index: int
    channels: int

    @property
    def child(self) -> nn.Module:
        """The child of the block that is named by ``slot``."""
        return self.block.get_submodule(self.slot)

    def replace_child(self, module: nn.Module) -> None:
        """Put another module in the place of the child."""
        parent, _, name = self.slot.rpartition('.')
        setattr(self.block.get_submodule(parent), name, module)


def find_branch_end(block: nn.Module, kind: ResidualBlock) -> tuple[str, int]:
    """Return the path of the child at which the branch ends, and the branch's width.

    Raises:
        ValueError: if the block is not built as its row says.
    """
    ends = _find_children(block, kind.before or kind.after)
    widths = _find_children(block, kind.width) if kind.width else ends
    channels = _width(widths[0]) if widths else None
    if not ends or channels is None:
        name = type(block).__name__
        raise ValueError(
            f'`backbone` must have blocks built as their row of residual_blocks says, but got a {name!r} of '
            f'{type(block).__module__!r} which does not fit {kind!r}; '
            f"say where its branch ends: residual_blocks=dict({name}=dict(after='...'))."
        )
    # A property such as ``norm3`` leads to a child of another name (``bn3``).
    return next(path for path, module in block.named_modules() if module is ends[0]), channels


FindSlot = Callable[[nn.Module, ResidualBlock], tuple[str, int] | None]


def find_sites(
    backbone: nn.Module,
    residual_blocks: Mapping[str, Mapping[str, Any]] | None = None,
    find_slot: FindSlot = find_branch_end,
) -> list[Site]:
    """List the sites of a backbone, stage by stage, in the order in which the blocks are defined.

    Sites of one width in blocks of one parent module are a stage; so are those of one branch of an HRNet stage.

    Args:
        backbone: any backbone built of residual blocks.
        residual_blocks: rows for kinds of blocks that ``RESIDUAL_BLOCKS`` lacks or that differ from it.
        find_slot: path and width of a block's site; None where it has none.

    Raises:
        ValueError: if a row is malformed, no block of a known kind is there, or a block is not built as its row says.
    """
    table = merge_residual_blocks(residual_blocks)
    blocks = list(_find_blocks(backbone, table))
    if not blocks:
        raise ValueError(_describe_unknown(backbone, table))
    stages: dict[tuple[str, int], list[tuple[nn.Module, str, bool]]] = {}
    for path, block, kind in blocks:
        found = find_slot(block, kind)
        if found is not None:
            slot, channels = found
            stages.setdefault((_stage_path(backbone, path), channels), []).append((block, slot, bool(kind.before)))
    return [
        Site(block, slot, comes_first, stage, index, channels)
        for stage, ((_, channels), blocks) in enumerate(stages.items())
        for index, (block, slot, comes_first) in enumerate(blocks)
    ]


def _find_blocks(
    backbone: nn.Module, table: Mapping[str, ResidualBlock]
) -> Iterator[tuple[str, nn.Module, ResidualBlock]]:
    for path, module in backbone.named_modules():
        kind = find_kind(module, table)
        if kind is not None and (not kind.when or getattr(module, kind.when, False)):
            yield path, module, kind


def _stage_path(backbone: nn.Module, path: str) -> str:
    """The path of a block's parent, the same for modules that continue one another."""
    parts = path.split('.')[:-1]
    module = backbone
    for depth, part in enumerate(list(parts)):
        module = getattr(module, part)
        if type(module).__name__ in _CONTINUED:
            parts[depth] = '*'
    return '.'.join(parts)


def _find_children(block: nn.Module, paths: str | tuple[str, ...]) -> list[nn.Module]:
    """Those of one path or several that the block has."""
    found = [_find_child(block, path) for path in ((paths,) if isinstance(paths, str) else paths)]
    return [child for child in found if child is not None]


def _find_child(block: nn.Module, path: str) -> nn.Module | None:
    child: Any = block
    for part in path.split('.'):
        child = getattr(child, part, None)
    return child if isinstance(child, nn.Module) else None


def _width(module: nn.Module) -> int | None:
    for child in reversed(list(module.modules())):
        for name in _WIDTHS:
            if hasattr(child, name):
                width = getattr(child, name)
                return int(width if isinstance(width, int) else width[0])
    return None


def _describe_unknown(backbone: nn.Module, table: Mapping[str, ResidualBlock]) -> str:
    known = sorted({name.rpartition('.')[2] for name in table})
    blocks = _repeated_blocks(backbone)
    built_of = f'built of {", ".join(blocks[:_SHOWN])}' if blocks else 'which repeats no block'
    return (
        f'`backbone` must have residual blocks of a known kind ({", ".join(known)}), but got '
        f'{type(backbone).__name__!r}, {built_of}; if one of them ends in a map (N, C, H, W) before its shortcut is added, '
        f"say where: residual_blocks=dict({blocks[0] if blocks else 'MyBlock'}=dict(after='...'))."
    )


def _repeated_blocks(backbone: nn.Module) -> list[str]:
    """Class names of what a backbone is built of: modules with children that occur more than once, outermost first."""
    counts: dict[str, int] = {}
    for module in backbone.modules():
        library = type(module).__module__.partition('.')[0]
        if any(True for _ in module.children()) and library not in ('torch', 'mmcv', 'mmengine'):
            counts[type(module).__name__] = counts.get(type(module).__name__, 0) + 1
    return [name for name, count in counts.items() if count > 1]

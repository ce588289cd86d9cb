"""Efficient attention behind a backbone or an FPN, on the levels that need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule, ModuleDict
from torch import Tensor

from ..registry import MODELS
from ..structures.checks import require_whole
from .attentions import EfficientAttention


@MODELS.register_module()
class EfficientAttentionNeck(BaseModule):
    """A neck that applies an ``EfficientAttention`` to each chosen level of a tuple of maps; the others pass untouched.

    It keeps the shape of every level, and so may follow a backbone or another neck: ``neck=[dict(type='mmseg.FPN', ...),
    dict(type='ean_mm.EfficientAttentionNeck', ...)]`` is one neck to mmengine's registries. Each level has weights of its
    own.
    Source: Shen et al., arXiv:1812.01243. Differs: where the paper's detectors place it is not confirmed here; the levels are
    the reader's choice.

    Args:
        in_channels: the width of each level, in the order of the tuple; one entry per map that arrives.
        levels: places in the tuple, from 0, whose maps are attended; None stands for all.
        key_channels: as in ``EfficientAttention``, for every chosen level; None stands for half of each level's width.
        value_channels: as in ``EfficientAttention``; None stands for each level's width.
        num_heads: as in ``EfficientAttention``.
        normalization: 'softmax' or 'scaling'.
        gate_init: 'paper' or 'identity'; with the latter a new neck returns its input.
        init_cfg: an mmengine initialisation config.

    Shape: a tuple of maps (N, C_i, H_i, W_i) in, a tuple of maps of the same shapes out.
    Cost: that of one ``EfficientAttention`` per chosen level.
    Raises: ValueError if ``in_channels`` or ``levels`` is no list of such numbers, if ``levels`` names a level twice or one
        that is not there, if an attention refuses its arguments, or if another number of maps arrives.

    >>> neck = EfficientAttentionNeck(in_channels=[8, 16], levels=[1])
    >>> maps = torch.ones(1, 8, 4, 4), torch.ones(1, 16, 2, 2)
    >>> [y is x for x, y in zip(maps, neck(maps))]
    [True, False]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        levels: Sequence[int] | None = None,
        key_channels: int | None = None,
        value_channels: int | None = None,
        num_heads: int = 1,
        normalization: str = 'softmax',
        gate_init: str = 'paper',
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        self.in_channels = _require_widths(in_channels)
        self.levels = _require_levels(levels, len(self.in_channels))
        arguments: dict[str, Any] = dict(
            key_channels=key_channels,
            value_channels=value_channels,
            num_heads=num_heads,
            normalization=normalization,
            gate_init=gate_init,
        )
        self.attentions = ModuleDict(
            {str(level): EfficientAttention(self.in_channels[level], **arguments) for level in self.levels}
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        if len(inputs) != len(self.in_channels):
            raise ValueError(
                f'`inputs` must be {len(self.in_channels)} maps, one per entry of `in_channels`, but got {len(inputs)}; '
                'give `in_channels` the widths of all levels that arrive.'
            )
        maps = list(inputs)
        for level in self.levels:
            maps[level] = self.attentions[str(level)](maps[level])
        return tuple(maps)


def _require_widths(in_channels: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(in_channels, list | tuple) or not in_channels:
        raise ValueError(f'`in_channels` must be a list with the width of each level, but got {in_channels!r}.')
    return tuple(require_whole('in_channels', width, 1) for width in in_channels)


def _require_levels(levels: Sequence[int] | None, num_levels: int) -> tuple[int, ...]:
    if levels is None:
        return tuple(range(num_levels))
    is_list = isinstance(levels, list | tuple) and bool(levels)
    if not is_list or len(set(levels)) < len(levels) or not all(_is_place(level, num_levels) for level in levels):
        raise ValueError(
            f'`levels` must be different places in the {num_levels} entries of `in_channels`, from 0, but got {levels!r}.'
        )
    return tuple(levels)


def _is_place(level: int, num_levels: int) -> bool:
    return isinstance(level, int) and not isinstance(level, bool) and 0 <= level < num_levels

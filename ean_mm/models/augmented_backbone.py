"""The mask-aware wrapper for convolutions: in each block, one may hand some of its channels to attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from torch import nn

from ..registry import MODELS, build_from
from .attention_spec import OWN_CONVOLUTIONS
from .augmented_slot import AugmentedSlot
from .backbone import EANBackbone
from .convolutions import PLAIN_ARGUMENTS, AugmentedConv2d, ProjectedAttention, can_be_augmented
from .plain_layers import is_plain_conv
from .residual_blocks import ResidualBlock
from .sites import Site, find_sites


@MODELS.register_module()
class AugmentedBackbone(EANBackbone):
    """A residual backbone in which chosen blocks have an attention-augmented convolution.

    ``conv(x)`` becomes ``concat[conv(x)[:F_out - v], attention(x)]`` in every block whose bit is on. There is one bit per
    block, for its first convolution that can be augmented (3x3, stride 1, one group); a block without one has no bit. With
    every bit off the output is the bare backbone's, bit for bit and at its cost.
    Source: Bello et al., arXiv:1904.09925 (the first convolution of every block); which blocks is what a search finds.

    The state dict holds the bare backbone's keys plus ``ean.*``. A convolution keeps all its F_out rows, so that plain
    checkpoints load and bits can be flipped; the last v rest while the bit is on, at the cost of their memory and no time.
    Each block has attention of its own.

    Args:
        backbone: as in ``EANBackbone``.
        conv: config of an augmented convolution, ``dict(type='ean_mm.EAAConv2d', ...)``, without what the backbone's own
            convolutions say (channels, stride, ...); may be left out with a ticket.
        scheme: as in ``EANBackbone``.
        ticket: as in ``EANBackbone``.
        residual_blocks: as in ``EANBackbone``; where branches end does not matter here.
        allow_missing: as in ``EANBackbone``.
        init_cfg: as in ``EANBackbone``.

    Shape: as the backbone's.
    Cost: the backbone's, with those of an ``AAConv2d`` or ``EAAConv2d`` for the convolutions whose bit is on.
    Raises:
        ValueError: if no block has a convolution that can be augmented, ``conv`` does not fit one, or an argument is wrong as
            in ``EANBackbone``.
        TicketError: if the ticket is damaged or made for another backbone, or for attention elsewhere.

    >>> net = AugmentedBackbone(dict(type='ean_mm.ResNetCifar', depth=20), dict(type='ean_mm.EAAConv2d', num_heads=4))
    >>> net.blocks_per_stage, net.sites[3].slot
    ((3, 3, 3), 'conv2')
    """

    attention_argument = 'conv'
    own_types = OWN_CONVOLUTIONS

    def __init__(
        self,
        backbone: dict,
        conv: dict | None = None,
        scheme: str | None = None,
        ticket: str | None = None,
        residual_blocks: Mapping[str, dict] | None = None,
        allow_missing: Sequence[str] = (),
        init_cfg: dict | list[dict] | None = None,
    ):
        if conv is not None or ticket is None:
            _check_conv(conv)
        # each block has a convolution of its own
        super().__init__(backbone, conv, 'block', scheme, ticket, residual_blocks, allow_missing, init_cfg)

    def _find_sites(self, residual_blocks: Mapping[str, dict] | None) -> list[Site]:
        sites = find_sites(self.backbone, residual_blocks, _find_convolution)
        if not sites:
            raise ValueError(
                '`backbone` must have a block with a 3x3 convolution of stride 1 and one group, but got '
                f'{type(self.backbone).__name__!r} without one.'
            )
        return [replace(site, comes_first=False) for site in sites]  # wherever the branch ends

    def _build_attention(self, sites: Sequence[Site]) -> nn.Module:
        (site,) = sites
        return _build_layer(cast(nn.Conv2d, site.child), self.attention_cfg)

    def _build_slot(self, site: Site, attention: Any) -> AugmentedSlot:
        return AugmentedSlot(cast(nn.Conv2d, site.child), attention, self._carries)


def _check_conv(conv: dict | None) -> None:
    if not isinstance(conv, dict) or conv.get('type') is None:
        raise ValueError(
            f"`conv` must be a dict with a 'type', but got {conv!r}; give one, like dict(type='ean_mm.EAAConv2d'), or a ticket."
        )
    given = [name for name in PLAIN_ARGUMENTS if name in conv]
    if given:
        raise ValueError(f"`conv` must leave {', '.join(given)} to the backbone's convolutions, but got {conv!r}.")
    kind = MODELS.get(conv['type']) if isinstance(conv['type'], str) else conv['type']
    if kind is not None and not (isinstance(kind, type) and issubclass(kind, AugmentedConv2d)):
        raise ValueError(_describe_other(conv))


def _describe_other(conv: dict) -> str:
    return f'`conv` must be an augmented convolution ({", ".join(OWN_CONVOLUTIONS)}), but got {conv["type"]!r}.'


def _find_convolution(block: nn.Module, kind: ResidualBlock) -> tuple[str, int] | None:
    """Path and width of a block's first convolution that can be augmented, and is not."""
    augmented = tuple(f'{path}.' for path, module in block.named_modules() if isinstance(module, AugmentedConv2d))
    for path, module in block.named_modules():
        if is_plain_conv(module) and _can_be_augmented(cast(nn.Conv2d, module)) and not path.startswith(augmented):
            return path, cast(nn.Conv2d, module).out_channels
    return None


def _can_be_augmented(conv: nn.Conv2d) -> bool:
    keeps_size = conv.padding in ('same', conv.dilation)
    return keeps_size and can_be_augmented(conv.kernel_size, conv.stride, conv.groups)


def _build_layer(conv: nn.Conv2d, cfg: dict) -> ProjectedAttention:
    """The attention that an augmented convolution in the place of ``conv`` has."""
    arguments = {name: getattr(conv, name) for name in PLAIN_ARGUMENTS if name != 'bias'}
    layer = build_from(MODELS, cfg, 'conv', **arguments, bias=conv.bias is not None)
    if not isinstance(layer, AugmentedConv2d) or layer.attention is None:
        raise ValueError(_describe_other(cfg))
    return layer.attention

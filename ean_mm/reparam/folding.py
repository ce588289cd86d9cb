"""Gates that are the same for every image, moved into the layer in front of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..models import EANBackbone, SharedAttention, Stacked
from ..models.site_slot import SiteSlot
from ..models.sites import Site
from ..structures import ConnectionScheme
from .fusion import find_affine, scale_output


def find_fold_points(backbone: EANBackbone, site: int) -> tuple[nn.Module, ...]:
    """Return the layers that together end the branch of a site, and scale with it; empty where a gate cannot be folded."""
    found = [find_affine(module) for module in _branch_ends(backbone, backbone.sites[site])]
    return tuple(layer for layer in found if layer is not None) if all(found) else ()


def _branch_ends(backbone: EANBackbone, site: Site) -> list[nn.Module]:
    block = site.block
    terms_of = _row_of(block, _SUMS)
    if terms_of is not None:
        return [term for term in terms_of(block) if term is not None]
    if not site.comes_first:
        return [cast(SiteSlot, site.child).child]
    end, *others = _row_of(block, _ENDS) or ('',)
    if not end or not all(isinstance(getattr(block, name, None) or nn.Identity(), nn.Identity) for name in others):
        return []
    return [block.get_submodule(end)]


def _row_of(block: nn.Module, table: Mapping[str, Any]) -> Any:
    """The row of a block's class or nearest base class, by its full name; None if there is none."""
    names = [f'{cls.__module__}.{cls.__name__}' for cls in type(block).__mro__]
    return next((table[name] for name in names if name in table), None)


def _repvgg_terms(block: Any) -> list[nn.Module | None]:
    if block.se_cfg is not None:  # it reads the sum before it is scaled
        return []
    return [block.branch_reparam] if block.deploy else [block.branch_3x3, block.branch_1x1, block.branch_norm]


def _mobileone_terms(block: Any) -> list[nn.Module | None]:
    if not isinstance(block.se, nn.Identity):
        return []
    return [block.branch_reparam] if block.deploy else [block.branch_scale, block.branch_norm, *block.branch_conv_list]


# Blocks whose branch is a sum, all terms of which are scaled.
_SUMS: dict[str, Callable[[Any], list[nn.Module | None]]] = {
    'mmpretrain.models.backbones.repvgg.RepVGGBlock': _repvgg_terms,
    'mmpretrain.models.backbones.mobileone.MobileOneBlock': _mobileone_terms,
}

# Blocks that hand their branch to a drop path: the layer that ends it, behind which channels are scaled at most, and what may
# stand between the two but must not. A kind that is not here has a norm or an activation there.
_ENDS: dict[str, tuple[str, ...]] = {
    'mmpretrain.models.backbones.convnext.ConvNeXtBlock': ('pointwise_conv2',),
    'timm.models.convnext.ConvNeXtBlock': ('mlp.fc2',),
    'timm.models.resnetv2.PreActBasic': ('conv2',),
    'timm.models.resnetv2.PreActBottleneck': ('conv3',),
    'timm.models.cspnet.BottleneckBlock': ('conv3', 'attn3'),
    'timm.models._efficientnet_blocks.UniversalInvertedResidual': ('pw_proj', 'dw_end'),
}


def fold_gates(backbone: EANBackbone, gates: Mapping[int, Tensor]) -> EANBackbone:
    """Return a copy in which given sites multiply their branch by a constant that is part of the weights.

    The sites' attention is disconnected; it stays on the copy as long as another site of its group is connected.
    Source: arXiv:2304.06345, section on inference; into a norm, ``gamma' = gamma * v`` and ``beta' = beta * v``.

    Args:
        backbone: left as it is.
        gates: 0-based site to its gate v, (C,).

    Raises:
        ValueError: if a branch ends in nothing that can be scaled.
    """
    folded = copy.deepcopy(backbone)
    mask = list(folded.scheme.mask)
    for site, gate in gates.items():
        scale_site(folded, site, gate)
        mask[site] = False
    folded.set_scheme(ConnectionScheme.from_mask(mask, folded.blocks_per_stage))
    return folded


def scale_site(backbone: EANBackbone, site: int, gate: Tensor) -> None:
    """Multiply the branch of a site by a constant per channel, by changing weights of ``backbone`` itself.

    Raises:
        ValueError: if the branch ends in nothing that can be scaled.
    """
    layers = find_fold_points(backbone, site)
    if not layers:
        raise ValueError(
            f'`site` must be one whose branch ends in a norm, convolution or linear layer, but got {site!r}, '
            f'{describe_site(backbone, site)}; leave its attention connected.'
        )
    for layer in layers:
        scale_output(layer, gate)


def name_site(backbone: EANBackbone, site: int) -> str:
    """A site in words: its stage and block, from 1."""
    where = backbone.sites[site]
    return f'stage {where.stage + 1} block {where.index + 1}'


def describe_site(backbone: EANBackbone, site: int) -> str:
    """What a message says about a site: its name, the kind of block, and what its branch ends in."""
    block, end = backbone.sites[site].block, backbone.slots[site].child
    return f'{name_site(backbone, site)}, a {type(block).__name__} that ends in {type(end).__name__}'


def release(backbone: EANBackbone) -> nn.Module:
    """Return a copy of the bare backbone, as it is without the wrapper.

    Raises:
        ValueError: if a site is still connected.
    """
    if backbone.scheme.num_connected:
        raise ValueError(
            f"`backbone` must have no connected site to be released, but got '{backbone.scheme}'; fold its gates first."
        )
    bare = copy.deepcopy(backbone)
    for site, slot in zip(bare.sites, bare.slots, strict=True):
        site.replace_child(slot.child)
    return bare.backbone


def fold_constant_gates(backbone: EANBackbone) -> EANBackbone:
    """Return a copy whose gates that are the same for every image (``ean_mm.ASR``) are part of the weights, where they can be.

    An attention that is all constant is disconnected. Of a stack, the constant part is folded and the rest stays, if that is
    possible at every connected site. What cannot be folded stays as it is.

    Args:
        backbone: left as it is.
    """
    with torch.no_grad():
        constants = [(site, *shared.split()) for site, shared in _foldable_sites(backbone)]
        folded = fold_gates(
            backbone, {site: gate for site, gate, rest in constants if gate is not None and rest is None}
        )
        _fold_prefixes(folded)
    return folded


def _foldable_sites(backbone: EANBackbone) -> list[tuple[int, SharedAttention]]:
    return [(site, shared) for site, shared in _connected_sites(backbone) if find_fold_points(backbone, site)]


def _connected_sites(backbone: EANBackbone) -> list[tuple[int, SharedAttention]]:
    return [(site, slot.attention) for site, slot in enumerate(backbone.slots) if slot.connected and slot.attention]


def _fold_prefixes(backbone: EANBackbone) -> None:
    """Fold the constant part of stacks, in place; none if a site is left at which that is impossible."""
    stacks = _connected_sites(backbone)
    if not stacks or len(_foldable_sites(backbone)) < len(stacks):
        return
    parts = [(site, shared, *shared.split()) for site, shared in stacks]
    if any(constant is None or rest is None for _, _, constant, rest in parts):
        return
    num_left = 1
    for site, shared, constant, rest in parts:
        scale_site(backbone, site, cast(Tensor, constant))
        shared.attention = rest
        num_left = len(rest.attentions) if isinstance(rest, Stacked) else 1
    backbone.attention_cfg = _without_constants(backbone.attention_cfg, num_left)


def _without_constants(cfg: dict, num_left: int) -> dict:
    """The config of a stack of which the last attentions are left."""
    rest = cfg['attentions'][-num_left:]
    return rest[0] if num_left == 1 else {**cfg, 'attentions': rest}

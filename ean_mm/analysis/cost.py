"""Parameters and MACs of every scheme, from one counted forward pass."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..models import EANBackbone
from ..structures import ConnectionScheme


@dataclass(frozen=True)
class Cost:
    """Cost of a network: parameters in all, and multiply-accumulates of the matrix products for one image."""

    params: int
    macs: int


@dataclass(frozen=True)
class SiteCost:
    """What connecting one site adds.

    Attributes:
        group: name of the sharing group, whose parameters are paid once.
        shape: (C, H, W) of the branch.
        macs: of one call for one image.
    """

    group: str
    shape: tuple[int, int, int]
    macs: int


@dataclass(frozen=True)
class CostTable:
    """Cost as a sum: the bare network, the sites that are connected, the attention of each group in use.

    Attributes:
        bare: cost of the network with no attention.
        sites: one entry per bit of a scheme.
        group_params: parameters of each group's attention.
    """

    bare: Cost
    sites: tuple[SiteCost, ...]
    group_params: dict[str, int]

    def cost(self, scheme: ConnectionScheme) -> Cost:
        """The cost of the network under ``scheme``; parameters of groups it leaves out are not counted."""
        used = [site for site, bit in zip(self.sites, scheme.mask, strict=True) if bit]
        groups = {site.group for site in used}
        return Cost(
            params=self.bare.params + sum(self.group_params[group] for group in groups),
            macs=self.bare.macs + sum(site.macs for site in used),
        )


def measure_cost(model: nn.Module, backbone: EANBackbone, run: Callable[[], object]) -> CostTable:
    """Count one forward pass of the bare network, and each attention at the shape its sites see.

    Matrix products and convolutions are counted (``torch.utils.flop_counter``, two FLOPs a MAC); element-wise work and
    pooling are not, so an attention without a matrix product counts 0 MACs.

    Args:
        model: the network that contains ``backbone``; every attention must be built (scheme 'all').
        backbone: the wrapped backbone.
        run: runs ``model`` once on one image.
    """
    before, training = backbone.scheme, model.training
    shapes: list[tuple[int, int, int]] = []
    model.eval()
    backbone.set_scheme(ConnectionScheme.none(backbone.blocks_per_stage))
    try:
        with ExitStack() as hooks:
            for slot in backbone.slots:
                handle = slot.register_forward_hook(lambda *io: shapes.append(tuple(io[2].shape[1:])))
                hooks.callback(handle.remove)
            macs = _count_macs(run)
        sites = _count_sites(backbone, shapes)
    finally:
        backbone.set_scheme(before)
        model.train(training)
    group_params = {name: sum(p.numel() for p in attention.parameters()) for name, attention in backbone.ean.items()}
    params = sum(p.numel() for p in model.parameters()) - sum(group_params.values())
    return CostTable(Cost(params, macs), sites, group_params)


def _count_sites(backbone: EANBackbone, shapes: list[tuple[int, int, int]]) -> tuple[SiteCost, ...]:
    counted: dict[tuple, int] = {}
    sites = []
    for group, shape in zip(backbone.groups, shapes, strict=True):
        if (group, shape) not in counted:
            attention = backbone.ean[group]
            device = next(backbone.parameters()).device
            image: Tensor = torch.zeros(1, *shape, device=device)
            counted[group, shape] = _count_macs(partial(attention, image))
        sites.append(SiteCost(group, shape, counted[group, shape]))
    return tuple(sites)


def _count_macs(run: Callable[[], object]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2

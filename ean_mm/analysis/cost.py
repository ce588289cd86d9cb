"""Parameters, MACs and element-wise work of every scheme, from two counted forward passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..models import EANBackbone
from ..structures import ConnectionScheme
from .work import Work, WorkCounter


@dataclass(frozen=True)
class Cost:
    """Cost of a network.

    Attributes:
        params: parameters in all, a shared module's once.
        macs: multiply-accumulates of the matrix products and convolutions, for one image.
        elementwise: operations of everything else, for one image; ``WorkCounter`` says what counts.
    """

    params: int
    macs: int
    elementwise: int


@dataclass(frozen=True)
class SiteCost:
    """What connecting one site adds.

    Attributes:
        group: name of the sharing group, whose parameters are paid once.
        shape: (C, H, W) of the branch.
        macs: of one call for one image.
        elementwise: of one call for one image.
    """

    group: str
    shape: tuple[int, ...]
    macs: int
    elementwise: int


@dataclass(frozen=True)
class CostTable:
    """Cost as a sum: the bare network, the sites that are connected, the attention of each group in use.

    Attributes:
        bare: cost of the network with no attention.
        sites: one entry per bit of a scheme.
        group_params: parameters of each group's attention, less those of the backbone that rest for it.
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
            elementwise=self.bare.elementwise + sum(site.elementwise for site in used),
        )


def measure_cost(model: nn.Module, backbone: EANBackbone, run: Callable[[], object]) -> CostTable:
    """Count two forward passes: one with every site off, one with every site on.

    A site costs what its block's branch computes more in the second pass than in the first, so each attention is counted
    on the input it really gets: its shape, precision, device and memory layout, under whatever autocast ``run`` opens. A
    recurrent attention is counted as the second pass calls it, every site after the previous one of its group; the sums
    are exact for one whose first call computes as much as its later calls, as DIA's do.

    Args:
        model: the network that contains ``backbone``; every attention must be built (scheme 'all').
        backbone: the wrapped backbone.
        run: runs ``model`` once on one image.
    """
    before, training = backbone.scheme, model.training
    model.eval()
    try:
        off = _count_pass(backbone, ConnectionScheme.none(backbone.blocks_per_stage), run)
        on = _count_pass(backbone, ConnectionScheme.all(backbone.blocks_per_stage), run)
    finally:
        backbone.set_scheme(before)
        model.train(training)
    sites = tuple(map(_site_cost, backbone.groups, off.branches, on.branches))
    group_params = {name: _count_params(attention) for name, attention in backbone.ean.items()}
    params = _count_params(model) - sum(group_params.values())
    for group, slot in zip(backbone.groups, backbone.slots, strict=True):
        group_params[group] -= slot.num_resting
    return CostTable(Cost(params, off.work.macs, off.work.elementwise), sites, group_params)


class _Branch:
    """The work of what stands at one site, and the shape that comes out, during one pass."""

    def __init__(self) -> None:
        self.work = Work(0, 0)
        self.shape: tuple[int, ...] = ()

    @contextmanager
    def watch(self, slot: nn.Module, counter: WorkCounter) -> Iterator[None]:
        def start(*_: object) -> None:
            self.work -= counter.work

        def stop(_module: nn.Module, _inputs: object, branch: Tensor) -> None:
            self.work += counter.work
            self.shape = tuple(branch.shape[1:])

        handles = [slot.register_forward_pre_hook(start), slot.register_forward_hook(stop)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@dataclass(frozen=True)
class _Pass:
    work: Work
    branches: list[_Branch]


def _count_pass(backbone: EANBackbone, scheme: ConnectionScheme, run: Callable[[], object]) -> _Pass:
    backbone.set_scheme(scheme)
    branches = [_Branch() for _ in backbone.slots]
    counter = WorkCounter()
    with ExitStack() as watches, torch.no_grad(), counter:
        for slot, branch in zip(backbone.slots, branches, strict=True):
            watches.enter_context(branch.watch(slot, counter))
        run()
    return _Pass(counter.work, branches)


def _site_cost(group: str, off: _Branch, on: _Branch) -> SiteCost:
    added = on.work - off.work
    return SiteCost(group, off.shape, added.macs, added.elementwise)


def _count_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())

"""The networks that overhead.py compares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ean_mm.analysis import count_work, measure_cost
from ean_mm.models import EANBackbone
from ean_mm.registry import MODELS, build_from
from ean_mm.structures import ConnectionScheme

ATTENTIONS: dict[str, dict] = {
    'SE': dict(type='ean_mm.SE'),
    'SGE': dict(type='ean_mm.SGE'),
    'DIA': dict(type='ean_mm.DIA', reduction=20),
    'EfficientAttention': dict(type='ean_mm.EfficientAttention'),
    'eca': dict(type='ean_mm.TimmAttention', name='eca'),
    'cbam': dict(type='ean_mm.TimmAttention', name='cbam'),
    'ContextBlock': dict(type='ean_mm.PluginLayer', cfg=dict(type='mmcv.ContextBlock', ratio=1 / 16)),
}
DENSITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Variant:
    """One network of a comparison.

    Attributes:
        name: of the network.
        model: what is trained.
        forward: what is run.
        baseline: name of the variant it is compared with.
        facts: what the table says about it, whatever the setting.
    """

    name: str
    model: nn.Module
    forward: Callable[[Tensor], object]
    baseline: str
    facts: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Networks:
    """Builds what is compared, always with the same weights.

    Attributes:
        depth: of the ResNet.
        image_size: height and width for which work is counted.
        device: where it runs.
    """

    depth: int
    image_size: int
    device: torch.device

    def build_overhead(self) -> list[Variant]:
        """The bare backbone, the wrapped one with no attention and with SE everywhere, and the same pair of timm."""
        bare, plain, with_se = self._bare_name(), f'timm resnet{self.depth}', f'timm seresnet{self.depth}'
        return [
            self._count(bare, self._build_bare(), bare),
            self._count('EANBackbone, scheme none', self._build_wrapped('SE', 'block', 'none'), bare),
            self._count('EANBackbone, SE everywhere', self._build_wrapped('SE', 'block', 'all'), bare),
            self._count(plain, self._build_timm(plain), plain),
            self._count(with_se, self._build_timm(with_se), plain),
        ]

    def build_density(self, name: str) -> list[Variant]:
        """The bare backbone, and one with a shared attention under schemes of growing density.

        Raises:
            ImportError: if the package that the attention comes from is not installed.
        """
        bare_name, bare = self._bare_name(), self._build_bare()
        backbone = self._build_wrapped(name, 'stage', 'all')
        costs = measure_cost(backbone, backbone, partial(backbone, self._image()))
        variants = [Variant(bare_name, bare, bare, bare_name, vars(costs.bare))]
        for density in DENSITIES:
            scheme = spread_evenly(density, backbone.blocks_per_stage)
            facts = dict(attention=name, sharing='stage', density=density, scheme=str(scheme))
            facts |= vars(costs.cost(scheme))
            forward = partial(_run_under, backbone, scheme)
            variants.append(Variant(f'{name} {density:.0%}', backbone, forward, bare_name, facts))
        return variants

    def _bare_name(self) -> str:
        return f'mmpretrain resnet{self.depth}'

    def _build_bare(self) -> nn.Module:
        torch.manual_seed(0)
        return self._place(build_from(MODELS, dict(type='mmpretrain.ResNet', depth=self.depth), 'backbone'))

    def _build_wrapped(self, name: str, sharing: str, scheme: str) -> EANBackbone:
        torch.manual_seed(0)
        backbone = dict(type='mmpretrain.ResNet', depth=self.depth)
        return self._place(EANBackbone(backbone, ATTENTIONS[name], sharing, scheme))

    def _build_timm(self, name: str) -> nn.Module:
        try:
            import timm
        except ImportError:
            sys.exit('error: `--parts overhead` must find timm installed, but got no such package; pip install timm.')
        torch.manual_seed(0)
        return self._place(timm.create_model(name.removeprefix('timm '), num_classes=0))

    def _place(self, model: Any) -> Any:
        return model.to(self.device).to(memory_format=torch.channels_last)

    def _image(self) -> Tensor:
        return torch.zeros(1, 3, self.image_size, self.image_size, device=self.device)

    def _count(self, name: str, model: nn.Module, baseline: str) -> Variant:
        forward = getattr(model, 'forward_features', model)  # timm's networks have a head, MM's backbones have none
        model.eval()
        with torch.no_grad():
            work = count_work(partial(forward, self._image()))
        facts = dict(params=sum(parameter.numel() for parameter in model.parameters()), **vars(work))
        return Variant(name, model, forward, baseline, facts)


def spread_evenly(density: float, blocks_per_stage: Sequence[int]) -> ConnectionScheme:
    """Connect so many of all n blocks, at equal distances: block (i + 1/2) * n / k for each i below k = density * n."""
    total = sum(blocks_per_stage)
    count = round(density * total)
    chosen = {int((i + 0.5) * total / count) for i in range(count)}
    return ConnectionScheme.from_mask([i in chosen for i in range(total)], blocks_per_stage)


def _run_under(backbone: EANBackbone, scheme: ConnectionScheme, images: Tensor) -> object:
    backbone.set_scheme(scheme)
    return backbone(images)

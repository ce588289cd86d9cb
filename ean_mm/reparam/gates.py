"""What gates do over many images: those that hardly vary are nearly a part of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from ..models import EANBackbone, SharedAttention


@dataclass(frozen=True)
class SiteGates:
    """The gates of one site.

    Attributes:
        site: its 0-based number.
        gates: what each channel was multiplied by in each image, (images, C), float32.
    """

    site: int
    gates: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean gate, (C,)."""
        return self.gates.mean(0)

    @property
    def deviation(self) -> float:
        """Standard deviation over images, averaged over channels: 0 where every image has the same gates.

        Source: arXiv:2304.06345, the stripe observation.
        """
        return self.gates.std(0, correction=0).mean().item()


class MeanRecorder:
    """Remembers the channel means that attentions see.

    Attributes:
        means: site to its means, one tensor (N, C) per pass; sites in the order in which they first ran.
    """

    def __init__(self) -> None:
        self.means: dict[int, list[Tensor]] = {}

    def record(self, site: int, branch: Tensor) -> None:
        """Remember the means of a branch, (N, C, H, W)."""
        self.means.setdefault(site, []).append(branch.mean((2, 3)))


@contextmanager
def recorded_means(backbone: EANBackbone) -> Iterator[MeanRecorder]:
    """Within the context, remember what connected attentions that read means see; other attentions are left out."""
    recorder = MeanRecorder()
    watched = [
        (site, slot)
        for site, slot in enumerate(backbone.slots)
        if slot.attention is not None and slot.connected and slot.attention.reads != 'map'
    ]
    try:
        for site, slot in watched:
            slot.watcher = partial(recorder.record, site)
        yield recorder
    finally:
        for _, slot in watched:
            slot.watcher = None


def compute_gates(backbone: EANBackbone, recorder: MeanRecorder) -> list[SiteGates]:
    """The gates that follow from recorded means; of a recurrent attention each with the state of the sites before it.

    Args:
        backbone: the one that was recorded.
        recorder: holds means of at least one pass.
    """
    carries: dict[int, Any] = {}
    found = []
    with torch.no_grad():
        for site, means in recorder.means.items():
            shared = cast(SharedAttention, backbone.slots[site].attention)
            mean = torch.cat(means)
            mean = mean.to(
                next(shared.parameters(), mean).dtype
            )  # under autocast the branch is not of the weights' type
            gates, carries[id(shared)] = shared.step_from_mean(mean, carries.get(id(shared)))
            found.append(SiteGates(site, gates.float().cpu()))
    return found

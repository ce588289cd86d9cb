"""Turn the best evaluation of a search into a ticket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import mmengine
import torch

from ..analysis import CostTable
from ..models import EANBackbone
from ..search import Evaluation
from ..structures import Ticket
from ..version import __version__


@dataclass(frozen=True)
class TicketMaker:
    """What every ticket of one search has in common.

    Attributes:
        backbone: the wrapped backbone.
        costs: of the whole network.
        metric: name of the metric.
        seed: of the search.
        supernet_sha256: digest of the supernet's weights.
    """

    backbone: EANBackbone
    costs: CostTable
    metric: str
    seed: int
    supernet_sha256: str

    def __call__(self, best: Evaluation) -> Ticket:
        """The ticket of ``best``."""
        cost = self.costs.cost(best.scheme)
        return Ticket(
            origin='searched',
            scheme=best.scheme,
            backbone=self.backbone.fingerprint,
            attention=self.backbone.attention_spec,
            sharing=cast(Literal['stage', 'block'], self.backbone.sharing),
            metrics={self.metric: cast(float, best.metric), 'reward': cast(float, best.reward)},
            params=cost.params,
            macs=cost.macs,
            seed=self.seed,
            supernet_sha256=self.supernet_sha256,
            versions={
                'ean_mm': __version__,
                'mmengine': mmengine.__version__,
                'torch': torch.__version__,
            },
            notes='Metrics are scores of the shared supernet, not of a network trained with this scheme.',
        )

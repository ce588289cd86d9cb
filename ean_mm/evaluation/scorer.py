"""The metric of a scheme on a frozen supernet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence, Sized
from contextlib import nullcontext
from typing import Any, cast

import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from ..models import EANBackbone
from ..structures import ConnectionScheme
from .recalibration import find_norms, recalibrated


class SupernetScorer:
    """Score schemes on a frozen supernet: set the mask, recalibrate batch norm, evaluate, put everything back.

    Args:
        model: an mmengine model (``val_step``, ``data_preprocessor``) that contains ``backbone``.
        backbone: the wrapped backbone.
        dataloader: the reward images.
        evaluator: what measures them.
        metric: the key of the evaluator's result that counts; higher is better.
        calibration: collated batches of training images under test transforms; empty to score with the supernet's own
            batch-norm statistics.
    """

    def __init__(
        self,
        model: BaseModel,
        backbone: EANBackbone,
        dataloader: DataLoader,
        evaluator: Evaluator,
        metric: str,
        calibration: Iterable[Any] = (),
    ):
        self.model = model
        self.backbone = backbone
        self.dataloader = dataloader
        self.evaluator = evaluator
        self.metric = metric
        self.calibration = calibration

    def __call__(self, scheme: ConnectionScheme) -> float:
        """The metric of ``scheme``; the model comes back in evaluation mode with its own statistics."""
        return self.score_many([scheme])[0]

    def score_many(self, schemes: Sequence[ConnectionScheme]) -> list[float]:
        """The metric of each scheme."""
        return [self._score(scheme) for scheme in schemes]

    def _score(self, scheme: ConnectionScheme) -> float:
        self.model.eval()
        self.backbone.set_scheme(scheme)
        with self._statistics():
            for batch in self.dataloader:
                self._process(batch)
            return self._read(self.evaluator.evaluate(len(cast(Sized, self.dataloader.dataset))))

    def describe_work(self) -> dict[str, int]:
        """What scoring has computed so far, by name, where it is counted."""
        return {}

    def rehearse(self) -> None:
        """Run one batch through model and evaluator twice, so that what is wrong with them shows before any training.

        Raises:
            ValueError: if the evaluator does not report the metric, or not the same one twice.
        """
        training = self.model.training
        self.model.eval()
        batch = next(iter(self.dataloader))
        metrics = []
        for _ in range(2):
            self._process(batch)
            metrics.append(self._read(self.evaluator.evaluate(len(batch['inputs']))))
        self.model.train(training)
        if metrics[0] != metrics[1] and not all(map(math.isnan, metrics)):
            raise ValueError(
                f'`val_evaluator` must measure the same images alike every time, but got {metrics!r} for '
                f'{self.metric!r} of one batch; remove what is random or keeps a state from model and evaluator.'
            )

    def run(self, batch: Any) -> object:
        """Forward one batch without evaluating it."""
        data = self.model.data_preprocessor(batch, False)
        return self.model(**data, mode='tensor')

    def _statistics(self):
        if self.calibration == ():
            return nullcontext()
        return recalibrated(find_norms(self.model), self.calibration, self.run)

    def _process(self, batch: Any) -> None:
        with torch.no_grad():
            outputs = self.model.val_step(batch)
        self.evaluator.process(data_samples=outputs, data_batch=batch)

    def _read(self, metrics: dict[str, float]) -> float:
        if self.metric not in metrics:
            raise ValueError(
                f'`reward.metric` must be one the evaluator reports ({", ".join(map(repr, metrics))}), '
                f'but got {self.metric!r}.'
            )
        return float(metrics[self.metric])

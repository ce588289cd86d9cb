"""The metric of a scheme on a frozen supernet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar, cast

import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from ..models import EANBackbone
from ..search import Measurement
from ..structures import ConnectionScheme, GroupScores
from ..structures.group_scores import NUM_GROUPS
from .group_reading import GroupReading, PartReader, join_readings
from .numeric_mode import NumericMode
from .racing import RacedTally, Racing, count_images
from .recalibration import find_norms, recalibrated
from .tally import Tally

CHUNK = 16
T = TypeVar('T')


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
        racing: drops schemes that cannot win; None scores every scheme in full.
        numeric_mode: in which ``model``, converted to it already, is run.
    """

    def __init__(
        self,
        model: BaseModel,
        backbone: EANBackbone,
        dataloader: DataLoader,
        evaluator: Evaluator,
        metric: str,
        calibration: Iterable[Any] = (),
        racing: Racing | None = None,
        numeric_mode: NumericMode | None = None,
    ):
        self.model = model
        self.backbone = backbone
        self.dataloader = dataloader
        self.evaluator = evaluator
        self.metric = metric
        self.calibration = calibration
        self.racing = racing
        self.numeric_mode = numeric_mode or NumericMode()

    def __call__(self, scheme: ConnectionScheme) -> float:
        """The metric of ``scheme``; the model comes back in evaluation mode with its own statistics."""
        return self.score_many([scheme])[0].metric

    def score_many(
        self, schemes: Sequence[ConnectionScheme], incumbent: ConnectionScheme | None = None
    ) -> list[Measurement]:
        """Measure schemes.

        Args:
            schemes: what is scored.
            incumbent: under racing, a scheme that loses against it is dropped with an estimate; it is scored in full first
                where that has not happened in this process.
        """
        return self._score(schemes, incumbent, self._read_score)

    def score_groups(self, schemes: Sequence[ConnectionScheme], num_groups: int = NUM_GROUPS) -> GroupScores:
        """Measure schemes in full, and group by group of the reward images; metrics are those of ``score_many``.

        On several ranks, all call it with the same schemes and get the same values.

        Args:
            schemes: what is scored, at least one.
            num_groups: how many groups of consecutive images; of fewer images, groups of one.
        """
        distinct = list(dict.fromkeys(schemes))
        readings: dict[ConnectionScheme, GroupReading] = {}
        for chunk in _in_chunks(
            sorted(distinct, key=str)
        ):  # neighbours share most; each holds all its results till the end
            read = partial(self._read_groups, num_groups=num_groups)
            readings |= zip(chunk, self._score(chunk, None, read), strict=True)
        return join_readings(distinct, [readings[scheme] for scheme in distinct])

    def _score(
        self,
        schemes: Sequence[ConnectionScheme],
        incumbent: ConnectionScheme | None,
        read: Callable[[ConnectionScheme, Tally], T],
    ) -> list[T]:
        """Show all images to schemes, and read something from the tally of each."""
        self.model.eval()
        found = self._read_each(list(dict.fromkeys(schemes)), self._find_rival(incumbent), read)
        return [found[scheme] for scheme in schemes]

    def _find_rival(self, incumbent: ConnectionScheme | None) -> ConnectionScheme | None:
        """The incumbent, with a known metric on every slice; None where nothing may be dropped."""
        if self.racing is None or incumbent is None:
            return None
        if self.racing.race is not None and not self.racing.knows(incumbent):
            self._read_each([incumbent], None, self._read_score)  # which may end all racing
        return incumbent if self.racing.knows(incumbent) else None

    # -- what is read from the tally of a scheme ----------------------------------------------------------

    def _read_score(self, scheme: ConnectionScheme, tally: Tally) -> Measurement:
        return tally.measure()

    def _read_groups(self, scheme: ConnectionScheme, tally: Tally, num_groups: int) -> GroupReading:
        metric = tally.measure().metric
        return PartReader(tally, count_images(self.dataloader)).read_groups(metric, num_groups)

    # -- how images are shown -----------------------------------------------------------------------------

    def _read_each(
        self,
        schemes: list[ConnectionScheme],
        incumbent: ConnectionScheme | None,
        read: Callable[[ConnectionScheme, Tally], T],
    ) -> dict[ConnectionScheme, T]:
        """Read from the tallies of distinct schemes, against a known incumbent."""
        return {scheme: read(scheme, self._show(scheme, incumbent)) for scheme in schemes}

    def _show(self, scheme: ConnectionScheme, incumbent: ConnectionScheme | None) -> Tally:
        self.backbone.set_scheme(scheme)
        tally = self._start(scheme, incumbent)
        with self.numeric_mode.active(self.device), self.own_statistics():
            for batch in self.dataloader:
                tally.add(partial(self._process, batch))
                if tally.is_lost:
                    break
        return tally

    def _start(self, scheme: ConnectionScheme, incumbent: ConnectionScheme | None) -> Tally:
        num_images = len(cast(Sized, self.dataloader.dataset))
        if self.racing is None:
            return Tally(self.evaluator, self.metric, num_images)
        return RacedTally(self.evaluator, self.metric, num_images, self.racing, scheme, incumbent)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def describe_work(self) -> dict[str, int]:
        """What scoring has computed so far, by name, where it is counted."""
        return {} if self.racing is None else self.racing.describe_work()

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
            tally = Tally(self.evaluator, self.metric, len(batch['inputs']))
            tally.add(partial(self._process, batch))
            metrics.append(tally.measure().metric)
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

    def own_statistics(self) -> AbstractContextManager[None]:
        """A context within which batch norm has the statistics of the scheme that is set, from the calibration images."""
        if self.calibration == ():
            return nullcontext()
        return recalibrated(find_norms(self.model), self.calibration, self.run)

    def _process(self, batch: Any) -> None:
        with torch.no_grad():
            outputs = self.model.val_step(batch)
        self.evaluator.process(data_samples=outputs, data_batch=batch)


def _in_chunks(schemes: list[ConnectionScheme]) -> Iterable[list[ConnectionScheme]]:
    return (schemes[start : start + CHUNK] for start in range(0, len(schemes), CHUNK))

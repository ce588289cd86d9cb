"""What the evaluator has noted of a scheme, slice by slice."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger
from torch import Tensor

from ..search import Measurement


class Tally:
    """The results of one scheme on the slices of the reward images that it has seen.

    A slice is a batch of the reward images, together with those that the other ranks have at the same time. Results live in
    here, not in the evaluator, so that schemes can take turns batch by batch.

    Args:
        evaluator: what measures.
        metric: the key of its result that counts; higher is better.
        num_images: how many images all slices have; what exceeds that was added to give all ranks as many.

    Attributes:
        is_lost: whether the scheme needs no further slices.
    """

    def __init__(self, evaluator: Evaluator, metric: str, num_images: int):
        self.evaluator = evaluator
        self.metric = metric
        self.num_images = num_images
        self.is_lost = False
        self._slices: list[list[list]] = []
        self._caught: _Caught | None = None

    def add(self, process: Callable[[], None]) -> None:
        """Let ``process`` show the evaluator a batch, and take the results."""
        for metric in self.evaluator.metrics:
            metric.results = []
        process()
        self._slices.append([metric.results for metric in self.evaluator.metrics])

    def measure(self) -> Measurement:
        """The metric when no slice is to come."""
        with _catching(self.evaluator, self.metric) as caught:
            measured = Measurement(self.read(self.num_images))
        self._caught = caught[0] if caught else None
        return measured

    def read(self, num_images: int, first: int = 0, last: int | None = None) -> float:
        """The metric of the slices from ``first`` up to and without ``last``, which have so many images."""
        return self.read_slices(range(len(self._slices))[first:last], num_images)

    def read_slices(self, numbers: Sequence[int], num_images: int) -> float:
        """The metric of some slices, which have so many images."""
        for index, metric in enumerate(self.evaluator.metrics):
            metric.results = [result for number in numbers for result in self._slices[number][index]]
        with _without_reports():
            return pick_metric(self.evaluator.evaluate(num_images), self.metric)

    # -- after it is measured --------------------------------------------------------------------------

    @property
    def num_slices(self) -> int:
        """How many slices it has seen."""
        return len(self._slices)

    def has_result_per_image(self) -> bool:
        """Whether the measured metric has noted one result for each image; the same on all ranks, which all ask."""
        is_so = self._caught is not None and len(self._caught.results) == self.num_images
        return bool(_from_rank_zero(torch.tensor([is_so], dtype=torch.float64))[0])

    def read_images(self, parts: Sequence[Sequence[int]]) -> list[float]:
        """The metric of each of some sets of images, the same on all ranks, which all ask.

        Args:
            parts: the images of each, by their places in the order of evaluation.
        """
        values = torch.full((len(parts),), torch.nan, dtype=torch.float64)
        if is_main_process() and self._caught is not None:
            with _without_reports():
                values = torch.tensor([self._caught.read(part) for part in parts], dtype=torch.float64)
        return _from_rank_zero(values).tolist()


@dataclass(frozen=True)
class _Caught:
    """What the metric that counts has computed its result of, from all ranks, in the order of evaluation."""

    metric: BaseMetric
    name: str
    results: list

    def read(self, places: Sequence[int]) -> float:
        """The metric of some images; nan where it is not defined."""
        try:
            found = self.metric.compute_metrics([self.results[place] for place in places])
        except (
            ArithmeticError,
            ValueError,
        ):  # one class only, no pixel with a label; raising would leave other ranks waiting
            return math.nan
        return float(_name(self.metric, found)[self.name])


def _name(metric: BaseMetric, found: dict[str, Any]) -> dict[str, Any]:
    """What a metric has found, by the names that the evaluator reports."""
    return {f'{metric.prefix}/{key}': value for key, value in found.items()} if metric.prefix else found


@contextmanager
def _catching(evaluator: Evaluator, name: str) -> Iterator[list[_Caught]]:
    """Within the context, what the metric that reports ``name`` reads is caught, on the rank that computes it."""
    caught: list[_Caught] = []
    with ExitStack() as stack:
        for metric in evaluator.metrics:
            stack.enter_context(_watched(metric, name, caught))
        yield caught


@contextmanager
def _watched(metric: BaseMetric, name: str, caught: list[_Caught]) -> Iterator[None]:
    original = vars(metric).get('compute_metrics')
    compute = metric.compute_metrics

    def compute_and_catch(results: list) -> dict:
        kept = list(results)
        found = compute(results)
        if name in _name(metric, found):
            caught.append(_Caught(metric, name, kept))
        return found

    metric.compute_metrics = compute_and_catch  # type: ignore[method-assign]
    try:
        yield
    finally:
        del metric.compute_metrics  # the class's own is there again
        if original is not None:
            metric.compute_metrics = original  # type: ignore[method-assign]


def _from_rank_zero(values: Tensor) -> Tensor:
    broadcast(values)
    return values


def pick_metric(metrics: dict[str, float], name: str) -> float:
    """The metric that counts.

    Raises:
        ValueError: if the evaluator does not report it.
    """
    if name not in metrics:
        raise ValueError(
            f'`reward.metric` must be one the evaluator reports ({", ".join(map(repr, metrics))}), but got {name!r}.'
        )
    return float(metrics[name])


@contextmanager
def _without_reports() -> Iterator[None]:
    """Within the context, warnings alone are logged: some metrics write a table of all classes for every result."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)

"""What the evaluator has noted of a scheme, slice by slice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger

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

    def add(self, process: Callable[[], None]) -> None:
        """Let ``process`` show the evaluator a batch, and take the results."""
        for metric in self.evaluator.metrics:
            metric.results = []
        process()
        self._slices.append([metric.results for metric in self.evaluator.metrics])

    def measure(self) -> Measurement:
        """The metric when no slice is to come."""
        return Measurement(self.read(self.num_images))

    def read(self, num_images: int, first: int = 0, last: int | None = None) -> float:
        """The metric of the slices from ``first`` up to and without ``last``, which have so many images."""
        chosen = self._slices[first:last]
        for index, metric in enumerate(self.evaluator.metrics):
            metric.results = [result for results in chosen for result in results[index]]
        with _without_reports():
            return pick_metric(self.evaluator.evaluate(num_images), self.metric)


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

"""Scoring that computes what schemes have in common once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from math import inf
from typing import Any, cast

import torch
from mmengine.logging import print_log
from torch import Tensor

from ..models.site_tracer import GraphError
from ..structures import ConnectionScheme
from .activation_store import ActivationStore, count_bytes
from .recalibration import copy_buffers, find_norms, load_buffers, recalibrated
from .scorer import SupernetScorer, T
from .shared_forward import SharedForward
from .tally import Tally

GIBIBYTE = 2**30
HELD_SHARE = (
    0.75  # of a budget: between tensors of many sizes allocators leave about a third more unused (benchmarks/speed)
)


@dataclass
class ScoringFacts:
    """What scoring took; a block-image is one residual branch run for one image.

    Attributes:
        num_schemes: schemes that were to be scored.
        block_images: what was computed, calibration and incumbents scored along included.
        naive_block_images: what scoring each scheme by itself computes.
        peak_bytes: the most activations held at once.
    """

    num_schemes: int = 0
    block_images: int = 0
    naive_block_images: int = 0
    peak_bytes: int = 0


class _ReachedBackboneError(Exception):
    """The images have reached the backbone; what comes after it is not wanted."""


class SharedScorer(SupernetScorer):
    """Score schemes like ``SupernetScorer``, with the same numbers, but each activation once for all that agree on it.

    Args:
        plain: scores schemes by themselves; its model, images, evaluator, calibration and racing are used.
        activation_budget: bytes, of the memory of the model's device, for activations that later schemes may need.
        image_budget: bytes of reward images kept as they come from ``dataloader``; a larger set is read anew each time.

    Raises:
        GraphError: if the backbone's forward pass is no fixed graph, or does not repeat itself.

    Attributes:
        facts: what scoring took so far.
    """

    def __init__(
        self,
        plain: SupernetScorer,
        activation_budget: int = 2 * GIBIBYTE,
        image_budget: int = GIBIBYTE,
    ):
        super().__init__(
            plain.model,
            plain.backbone,
            plain.dataloader,
            plain.evaluator,
            plain.metric,
            plain.calibration,
            plain.racing,
            plain.numeric_mode,
        )
        self.facts = ScoringFacts()
        self._is_budget_reported = False
        self.model.eval()
        first = next(iter(self.dataloader))
        self._keeps_images = count_bytes(first) * len(self.dataloader) <= image_budget
        self._kept_images: list[Any] | None = None
        self._sample = self._catch_images(first)
        self.activation_budget = activation_budget
        store = ActivationStore(int(activation_budget * HELD_SHARE))
        with self.numeric_mode.autocast(self.device):
            self._forward = SharedForward(self.backbone, store, self.calibration != (), self._sample)
        self._norms_after = find_norms(self.model, outside=self.backbone)

    def _score(
        self,
        schemes: Sequence[ConnectionScheme],
        incumbent: ConnectionScheme | None,
        read: Callable[[ConnectionScheme, Tally], T],
    ) -> list[T]:
        found = super()._score(schemes, incumbent, read)
        num_schemes = len(set(schemes))
        images = len(cast(Any, self.dataloader.dataset)) + sum(len(batch['inputs']) for batch in self.calibration)
        self.facts.num_schemes += num_schemes
        self.facts.naive_block_images += num_schemes * self.backbone.num_connections * images
        return found

    def describe_work(self) -> dict[str, int]:
        return {**asdict(self.facts), **super().describe_work()}

    def check(self) -> None:
        """Compare shared passes with ordinary ones on the first reward images.

        Raises:
            GraphError: if they differ in one bit.
        """
        images = self._sample
        schemes = [self.backbone.scheme, *(f(self.backbone.blocks_per_stage) for f in _PROBES), self.backbone.scheme]
        with torch.no_grad(), self.numeric_mode.autocast(self.device):
            shared = SharedForward(self.backbone, ActivationStore(10**15), False, images)
            for scheme in schemes:
                self.backbone.set_scheme(scheme)
                expected = self.backbone(images)
                with shared.active():
                    found = shared.predict(0, lambda: images, scheme.mask)
                if not _equal(expected, found):
                    raise GraphError(f"a shared forward pass under '{scheme}' differs from an ordinary one")
        self.backbone.set_scheme(schemes[0])

    # -- measuring ---------------------------------------------------------------------------------------------------------

    def _read_each(
        self,
        schemes: list[ConnectionScheme],
        incumbent: ConnectionScheme | None,
        read: Callable[[ConnectionScheme, Tally], T],
    ) -> dict[ConnectionScheme, T]:
        order = sorted(schemes, key=str)  # neighbours agree on the longest prefixes
        before = self._forward.num_block_images
        with self.numeric_mode.active(self.device), self._forward.active(), self._forgetting_on_error():
            self._forward.calibrate([partial(self._catch_images, b) for b in self.calibration], [s.mask for s in order])
            statistics = {scheme: self._calibrate_after(scheme) for scheme in order}
            tallies = {scheme: self._start(scheme, incumbent) for scheme in order}
            self._run(tallies, statistics)
        self.facts.block_images += self._forward.num_block_images - before
        self.facts.peak_bytes = self._forward.store.peak_bytes
        self._report_small_budget()
        return {scheme: read(scheme, tallies.pop(scheme)) for scheme in order}

    def _run(self, tallies: dict[ConnectionScheme, Tally], statistics: dict) -> None:
        """Show every batch to all schemes that are not lost: they share what no budget could keep for all images."""
        saved = copy_buffers(self._norms_after)
        try:
            for index, batch in enumerate(self._reward_batches()):
                running = [scheme for scheme, tally in tallies.items() if not tally.is_lost]
                if not running:
                    break
                for scheme in running:
                    load_buffers(self._norms_after, statistics[scheme] or saved)
                    with self._backbone_replaced(self._predict(index, scheme)):
                        tallies[scheme].add(partial(self._process, batch))
        finally:
            load_buffers(self._norms_after, saved)

    def _report_small_budget(self) -> None:
        """Say once that the budget is too small for any activation."""
        store = self._forward.store
        if self._is_budget_reported or store.peak_bytes or store.least_bytes == inf:
            return
        self._is_budget_reported = True
        print_log(
            f'Nothing is shared from step to step: `activation_budget` must be at least '
            f'{store.least_bytes / HELD_SHARE / 2**20:.0f} MiB to hold the smallest activation of a batch, but got '
            f'{self.activation_budget / 2**20:.0f} MiB; raise it, or lower the batch size of val_dataloader.',
            logger='current',
            level=logging.WARNING,
        )

    def _predict(self, index: int, scheme: ConnectionScheme):
        calls = count()
        return lambda images: self._forward.predict((index, next(calls)), lambda: images, scheme.mask)

    def _calibrate_after(self, scheme: ConnectionScheme) -> list[dict[str, Tensor]] | None:
        """The statistics under ``scheme`` of batch norm that comes after the backbone."""
        if self.calibration == () or not self._norms_after:
            return None

        def run(numbered: tuple[int, Any]) -> None:
            position, batch = numbered
            output = lambda images: self._forward.calibrated_output(position, lambda: images, scheme.mask)  # noqa: E731
            with self._backbone_replaced(output):
                self.run(batch)

        with recalibrated(self._norms_after, enumerate(self.calibration), run):
            return copy_buffers(self._norms_after)

    @contextmanager
    def _backbone_replaced(self, forward: Any) -> Iterator[None]:
        self.backbone.forward = forward  # type: ignore[method-assign]
        try:
            yield
        finally:
            del self.backbone.forward  # the class's own is there again

    def _catch_images(self, batch: Any) -> Tensor:
        """What the model hands its backbone for a batch."""
        caught: list[Tensor] = []

        def stop(images: Tensor) -> None:
            caught.append(images)
            raise _ReachedBackboneError

        with self._backbone_replaced(stop), torch.no_grad(), suppress(_ReachedBackboneError):
            self.run(batch)
        return caught[0]

    def _reward_batches(self) -> Iterable[Any]:
        if not self._keeps_images:
            return self.dataloader
        if self._kept_images is None:
            self._kept_images = list(self.dataloader)
        return self._kept_images

    @contextmanager
    def _forgetting_on_error(self) -> Iterator[None]:
        """After an error, running out of memory among them, the next try starts with no activation kept."""
        try:
            yield
        except BaseException:
            self._forward.forget_activations()
            raise


_PROBES = (ConnectionScheme.none, ConnectionScheme.all)


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(one, other, strict=True) if isinstance(one, (tuple, list)) else [(one, other)]
    return all(torch.equal(a, b) for a, b in pairs)

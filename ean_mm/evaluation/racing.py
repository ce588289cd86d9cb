"""Races of schemes against an incumbent, on the slices of the reward images."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence, Sized
from dataclasses import asdict
from typing import cast

from mmengine.dist import get_world_size
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from torch.utils.data import DataLoader

from ..search import Measurement, Race, RaceSettings, Reward, slices_are_additive
from ..structures import ConnectionScheme
from .tally import Tally

# Of the scale. The mean over slices differs from the whole by two roundings, at worst to two decimals of a percent, which
# makes 1e-4. A ratio of sums would have to come that close on each of the prefixes that are looked at.
TOLERANCE = 1.1e-4

Read = Callable[[int, int], float]


class Racing:
    """What races need: the metric of fully scored schemes on each slice, and whether slices tell anything about the whole.

    Where they do not, every scheme is scored in full, and one warning in the log says why. Ranks measure the same numbers
    and so decide alike.

    Args:
        settings: when a scheme is dropped.
        reward: linear in the metric.
        images_per_slice: of the reward images, which come in random order; empty if that is not known.

    Attributes:
        race: decides; None while nothing is dropped any more.
        num_dropped: schemes dropped so far.
        num_images_saved: images that they were not scored on.
    """

    def __init__(self, settings: RaceSettings, reward: Reward, images_per_slice: Sequence[int]):
        self.settings = settings
        self.reward = reward
        self.race: Race | None = None
        self.num_dropped = 0
        self.num_images_saved = 0
        self._slice_metrics: dict[ConnectionScheme, list[float]] = {}
        if not images_per_slice:
            self._refuse('`val_dataloader` must yield batches of one `batch_size`')
        elif len(images_per_slice) <= settings.min_slices:
            self._refuse(
                f'`val_dataloader` must yield more than {settings.min_slices} batches (`min_slices`), '
                f'but got {len(images_per_slice)}; lower its `batch_size` or hold out more images'
            )
        else:
            self.race = Race(images_per_slice, **asdict(settings))

    def knows(self, scheme: ConnectionScheme) -> bool:
        """Whether others can race against ``scheme``."""
        return self.race is not None and scheme in self._slice_metrics

    def is_lost(self, scheme: ConnectionScheme, metrics: Sequence[float], incumbent: ConnectionScheme) -> bool:
        """Whether a scheme with these metrics on the first slices is dropped; after the last one none is."""
        if self.race is None or len(metrics) >= self.race.num_slices or not all(map(math.isfinite, metrics)):
            return False
        bonus = self.reward(0.0, scheme.mask) - self.reward(0.0, incumbent.mask)
        return self.race.is_lost(metrics, self._slice_metrics[incumbent], bonus)

    def drop(self, race: Race, metrics: Sequence[float]) -> Measurement:
        """Count a scheme as dropped; return its estimate."""
        num_seen = race.count_images(len(metrics))
        self.num_dropped += 1
        self.num_images_saved += race.count_images(race.num_slices) - num_seen
        return Measurement(race.estimate(metrics), num_seen)

    def remember(self, scheme: ConnectionScheme, metrics: Sequence[float], read: Read, is_raced: bool) -> None:
        """Keep the metric of a scheme on all slices, if they add up; end racing if they do not.

        A scheme that has raced ends nothing: only the controls and incumbents do, which a resumed search scores as well.

        Args:
            scheme: what was scored.
            metrics: of each slice.
            read: the metric of a number of images, which are those of a number of slices from the first on.
            is_raced: whether the scheme has raced against another.
        """
        if self.race is None:
            return
        objection = _find_objection(self.race, metrics, read, TOLERANCE * self.settings.scale)
        if objection is None:
            self._slice_metrics[scheme] = list(metrics)
        elif not is_raced:
            self._refuse(objection)

    def describe_work(self) -> dict[str, int]:
        """What racing has saved so far, by name."""
        return {'dropped': self.num_dropped, 'images_saved': self.num_images_saved}

    def _refuse(self, reason: str) -> None:
        self.race = None
        print_log(f'No racing, every scheme is scored in full: {reason}.', logger='current', level=logging.WARNING)


class RacedTally(Tally):
    """A tally that reads the metric of each slice, and is lost when it cannot win any more.

    Args:
        evaluator: what measures.
        metric: the key of its result that counts.
        num_images: how many images all slices have.
        racing: knows the rules.
        scheme: whose results these are.
        incumbent: what it races against; None scores it in full.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        metric: str,
        num_images: int,
        racing: Racing,
        scheme: ConnectionScheme,
        incumbent: ConnectionScheme | None,
    ):
        super().__init__(evaluator, metric, num_images)
        self.racing = racing
        self.race = racing.race
        self.scheme = scheme
        self.incumbent = incumbent
        self._metrics: list[float] = []

    def add(self, process: Callable[[], None]) -> None:
        super().add(process)
        if self.race is None:
            return
        seen = len(self._metrics)
        self._metrics.append(self.read(self.race.images_per_slice[seen], seen, seen + 1))
        if self.incumbent is not None:
            self.is_lost = self.racing.is_lost(self.scheme, self._metrics, self.incumbent)

    def measure(self) -> Measurement:
        if self.race is None:
            return super().measure()
        if self.is_lost:
            return self.racing.drop(self.race, self._metrics)
        measured = super().measure()
        if math.isfinite(measured.metric):
            is_raced = self.incumbent is not None
            self.racing.remember(self.scheme, self._metrics, lambda num, last: self.read(num, 0, last), is_raced)
        return measured


def count_images(dataloader: DataLoader) -> list[int]:
    """How many images each batch has, with those that all other ranks have at the same time; empty if it cannot be told."""
    num_images = len(cast(Sized, dataloader.dataset))
    if dataloader.batch_size is None:
        return []
    at_once = dataloader.batch_size * get_world_size()
    counts = [min(at_once, num_images - start) for start in range(0, num_images, at_once)]
    return counts if len(counts) == len(dataloader) else []


def _find_objection(race: Race, metrics: Sequence[float], read: Read, tolerance: float) -> str | None:
    """Why the metric cannot be raced; None if it is the mean of its slices, as far as the slices of one scheme tell."""
    if not all(map(math.isfinite, metrics)):
        return 'the metric of a batch is not always a number'
    for number in _prefixes(race.num_slices):
        sizes, seen, together = (
            race.images_per_slice[:number],
            metrics[:number],
            read(race.count_images(number), number),
        )
        if not slices_are_additive(seen, sizes, together, tolerance):
            return (
                f'the metric of {number} batches together is {together:g}, but the mean of theirs is '
                f'{race.estimate(seen):g}; only a mean over images can be raced, not a ratio of sums like mIoU'
            )
    return None


def _prefixes(num_slices: int) -> list[int]:
    """2, 4, 8, ... slices, and all."""
    return [*(2**k for k in range(1, num_slices) if 2**k < num_slices), num_slices]

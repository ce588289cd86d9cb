"""Racing: a proposal that cannot win any more is not scored to the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..registry import suggest
from ..structures.checks import require_number, require_whole
from ..structures.shorten import shorten


@dataclass(frozen=True)
class RaceSettings:
    """When a proposal is dropped; see :class:`Race`.

    Args:
        confidence: of not dropping a winner, for one race, in [0.5, 0.999999].
        min_slices: nothing is dropped before so many are seen; at least 2, which an estimate of a variance needs.
        scale: what one image can contribute, in units of the metric: 100 for an accuracy in percent.

    Raises: ValueError if an argument is outside its range.
    """

    confidence: float = 0.999
    min_slices: int = 5
    scale: float = 100.0

    def __post_init__(self) -> None:
        require_number('confidence', self.confidence, 0.5, 0.999999, rule='a number from 0.5 to 0.999999')
        require_whole('min_slices', self.min_slices, 2)
        require_number('scale', self.scale, math.ulp(0.0), rule='a positive number')

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> RaceSettings:
        """Read the settings of a config.

        Raises:
            ValueError: if it is no dict, or a name or a value in it is wrong.
        """
        if not isinstance(given, Mapping):
            raise ValueError(f'`racing` must be a dict of settings or None, but got {shorten(given)}.')
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                hint = suggest(str(name), known, f'it has {", ".join(known)}.')
                raise ValueError(f'`racing` must hold nothing but its settings, but got {shorten(name)}; {hint}')
        return cls(**given)


class Race:
    """Decide after each slice of the reward set whether a challenger can still beat the incumbent.

    Both are compared on the same images. Of slices k = 1..K with n_k images each, K' are seen, with N' of all N images;
    d_k is the challenger's metric less the incumbent's, d their mean weighted by n_k, m the difference that the
    challenger needs. It is dropped when

    ``P(T > (m - d) / sqrt(V * (1/N' - 1/N))) < (1 - confidence) / (K - min_slices)``

    with T of Student's t distribution with K' - 1 degrees of freedom. ``1/N' - 1/N`` is the variance of a mean drawn
    without replacement: with all images seen nothing is estimated. The division by the number of looks (Bonferroni)
    makes ``confidence`` hold for the race as a whole.

    V, the variance between single images, is the largest of ``sum_k n_k * (d_k - d)**2 / (K' - 1)``, which is unbiased
    for any sizes, and of ``|x| * (scale - |x|)`` for x = d and x = m. The latter is the least variance with which
    images that are right or wrong can differ by x on average: without it, slices that agree by chance would pass for
    certainty. A bound that assumes a range only is no alternative: Hoeffding's needs some 2,000 images to tell 10 points.

    The promise, a winner is dropped with a probability below ``1 - confidence``, is for a pair chosen without looking
    at the slices, for images dealt to the slices at random (shuffle them once: data sets are sorted by class) and for
    metrics that are means over images (see :func:`slices_are_additive`).

    Args:
        images_per_slice: n_k, in the order of the slices; many slices of 25 images or more save most.
        confidence: of not dropping a winner, for one race, in [0.5, 0.999999].
        min_slices: nothing is dropped before so many are seen; at least 2, which an estimate of a variance needs.
        scale: what one image can contribute, in units of the metric: 100 for an accuracy in percent.

    Cost: of a look, O(K) operations on plain floats.
    Raises: ValueError if an argument is outside its range.

    >>> race = Race([50] * 20)
    >>> race.is_lost([42.0, 46.0, 40.0, 44.0, 38.0, 42.0, 46.0, 40.0], [74.0, 70.0, 72.0, 76.0, 70.0, 72.0, 74.0, 70.0])
    True
    """

    def __init__(
        self,
        images_per_slice: Sequence[int],
        confidence: float = 0.999,
        min_slices: int = 5,
        scale: float = 100.0,
    ):
        self.images_per_slice = tuple(require_whole('images_per_slice', size, 1) for size in images_per_slice)
        settings = RaceSettings(confidence, min_slices, scale)  # checks them
        self.confidence, self.min_slices, self.scale = settings.confidence, settings.min_slices, settings.scale
        if min_slices > self.num_slices:
            raise ValueError(
                f'`min_slices` must be at most the number of slices ({self.num_slices}), but got {min_slices}.'
            )

    @property
    def num_slices(self) -> int:
        """K, how many slices there are."""
        return len(self.images_per_slice)

    @property
    def num_looks(self) -> int:
        """After how many slices a challenger can be dropped unfinished."""
        return self.num_slices - self.min_slices

    def count_images(self, num_slices: int) -> int:
        """How many images the first ``num_slices`` slices have."""
        return sum(self.images_per_slice[:num_slices])

    def estimate(self, metrics: Sequence[float]) -> float:
        """The metric of the whole as far as its first slices tell: their mean, weighted by their images.

        Args:
            metrics: of the slices seen, in their order, at least one.

        Raises:
            ValueError: if there are none, more than there are slices, or one that is not finite.
        """
        self._check('metrics', metrics)
        return _weighted_mean(metrics, self.images_per_slice)

    def is_lost(self, challenger: Sequence[float], incumbent: Sequence[float], bonus_difference: float = 0.0) -> bool:
        """Whether the challenger's reward does not exceed the incumbent's, as far as the confidence asks.

        With all slices seen it is the plain comparison of both rewards, with a tie lost.

        Args:
            challenger: its metric on each slice seen, in their order, at least one.
            incumbent: its metric on the same slices; those of later slices may follow and are not looked at.
            bonus_difference: what the reward adds to the challenger's metric less what it adds to the incumbent's,
                in units of the metric.

        Raises:
            ValueError: if there is nothing to compare, the incumbent has fewer metrics than the challenger, one has
                more than there are slices, or a number is not finite.
        """
        self._check('challenger', challenger)
        self._check('incumbent', incumbent)
        require_number('bonus_difference', bonus_difference, rule='a finite number')
        num_seen = len(challenger)
        if len(incumbent) < num_seen:
            raise ValueError(
                f'`incumbent` must have a metric for each of the {num_seen} slices of the challenger, '
                f'but got {len(incumbent)}.'
            )
        differences = [a - b for a, b in zip(challenger, incumbent, strict=False)]
        needed = -bonus_difference
        if num_seen == self.num_slices:
            return _weighted_mean(differences, self.images_per_slice) <= needed
        if num_seen < self.min_slices:
            return False
        return self._is_beyond_chance(differences, needed)

    def _is_beyond_chance(self, differences: list[float], needed: float) -> bool:
        mean = _weighted_mean(differences, self.images_per_slice)
        if mean >= needed:
            return False
        degrees = len(differences) - 1
        pairs = zip(self.images_per_slice, differences, strict=False)
        between = math.fsum(size * (difference - mean) ** 2 for size, difference in pairs) / degrees
        variance = max(between, self._least_variance(mean), self._least_variance(needed))
        seen, whole = self.count_images(len(differences)), self.count_images(self.num_slices)
        deviation = math.sqrt(variance * (1 / seen - 1 / whole))
        # a difference beyond the scale is out of reach without any variance
        excess = math.inf if deviation == 0 else (needed - mean) / deviation
        return student_tail(excess, degrees) < (1 - self.confidence) / self.num_looks

    def _least_variance(self, difference: float) -> float:
        return abs(difference) * (self.scale - abs(difference))

    def _check(self, name: str, metrics: Sequence[float]) -> None:
        if not 1 <= len(metrics) <= self.num_slices:
            raise ValueError(
                f'`{name}` must have 1 to {self.num_slices} metrics, one per slice, but got {len(metrics)}.'
            )
        if not all(math.isfinite(metric) for metric in metrics):
            raise ValueError(f'`{name}` must be finite numbers, but got {shorten(list(metrics))}.')


def slices_are_additive(
    slice_metrics: Sequence[float], images_per_slice: Sequence[int], whole: float, tolerance: float
) -> bool:
    """Whether the metric of the whole is the mean of its slices' metrics, weighted by their images.

    It is for accuracy. It is not for mIoU, a ratio of sums over all images, whose slices say nothing certain about the
    whole: racing needs this to hold.

    Args:
        slice_metrics: the metric of each slice.
        images_per_slice: how many images each has.
        whole: the metric of all of them together.
        tolerance: how far off rounding may be, in units of the metric, 0 or more.

    Raises:
        ValueError: if the lengths differ or are 0, or ``tolerance`` is negative or not finite.

    >>> slices_are_additive([80.0, 50.0], [100, 50], whole=70.0, tolerance=1e-4)
    True
    """
    require_number('tolerance', tolerance, 0, rule='a number of at least 0')
    if not slice_metrics or len(slice_metrics) != len(images_per_slice):
        raise ValueError(
            f'`slice_metrics` must have one number for each of the {len(images_per_slice)} slices, '
            f'but got {len(slice_metrics)}.'
        )
    return abs(_weighted_mean(slice_metrics, images_per_slice) - whole) <= tolerance


def student_tail(t: float, degrees: int) -> float:
    """P(T > t) for T of Student's t distribution with a whole number of degrees of freedom.

    A finite sum of powers of ``cos(atan(t / sqrt(degrees)))``; exact up to rounding, about 1e-16.
    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.

    >>> round(student_tail(1.0, 1), 12)  # that of the Cauchy distribution
    0.25
    """
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2
    term = cosine if is_odd else 1.0
    total = 0.0
    for index in range(1 + is_odd, degrees, 2):
        total += term
        term *= cosine**2 * index / (index + 1)
    within = 2 / math.pi * (angle + sine * total) if is_odd else sine * total
    return (1 - within) / 2


def _weighted_mean(values: Sequence[float], weights: Sequence[int]) -> float:
    """The mean of ``values`` under the first of ``weights``."""
    used = weights[: len(values)]
    return math.fsum(value * weight for value, weight in zip(values, used, strict=True)) / sum(used)

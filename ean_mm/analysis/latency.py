"""Latency of several variants of one network, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from statistics import median
from typing import TypeVar

import numpy as np
import torch

Key = TypeVar('Key', bound=Hashable)


@dataclass(frozen=True)
class Spread:
    """The middle of several measurements, and the quartiles around it."""

    median: float
    low: float
    high: float


def measure_latency(
    run: Callable[[Key], object],
    variants: Sequence[Key],
    device: torch.device,
    warmup: int = 3,
    repeats: int = 20,
) -> dict[Key, float]:
    """Median wall time of ``run(variant)`` in milliseconds.

    The variants take turns, so that a slower or faster machine in between touches all alike. On CUDA the device is
    synchronised around every call.

    Args:
        run: prepares nothing and runs the variant once.
        variants: what to compare.
        device: where it runs.
        warmup: rounds that are not counted.
        repeats: rounds that are counted.
    """
    runs = {variant: partial(run, variant) for variant in variants}
    with torch.inference_mode():
        rounds = list(islice(time_rounds(runs, device), warmup, warmup + repeats))
    return {variant: median(times[variant] for times in rounds) * 1e3 for variant in runs}


def time_rounds(runs: Mapping[Key, Callable[[], object]], device: torch.device) -> Iterator[dict[Key, float]]:
    """Run every variant once per round, in turn, and yield the seconds each has taken, round after round, without end.

    The first rounds warm up and are for the caller to drop.
    """
    while True:
        yield {variant: _time_once(run, device) for variant, run in runs.items()}


def compare_rounds(rounds: Sequence[Mapping[Key, float]], variant: Key, baseline: Key) -> Spread:
    """How many times as long as ``baseline`` took ``variant``: the median over rounds, each compared within itself.

    >>> compare_rounds([dict(a=1.0, b=1.1), dict(a=2.0, b=2.4), dict(a=3.0, b=3.9)], 'b', 'a').median
    1.2
    """
    ratios = [times[variant] / times[baseline] for times in rounds]
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75)).tolist()
    return Spread(middle, low, high)


def _time_once(call: Callable[[], object], device: torch.device) -> float:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start

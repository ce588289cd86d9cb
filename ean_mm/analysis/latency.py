"""Latency of several variants of one network, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from statistics import median
from typing import TypeVar

import torch

Key = TypeVar('Key', bound=Hashable)


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
    times: dict[Key, list[float]] = {variant: [] for variant in variants}
    with torch.inference_mode():
        for _ in range(warmup + repeats):
            for variant, measured in times.items():
                measured.append(_time_once(partial(run, variant), device))
    return {variant: median(measured[warmup:]) * 1e3 for variant, measured in times.items()}


def _time_once(call: Callable[[], object], device: torch.device) -> float:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start

"""Batch-norm statistics that belong to one scheme instead of to the average of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Batch = TypeVar('Batch')


@contextmanager
def recalibrated(model: nn.Module, batches: Iterable[Batch], forward: Callable[[Batch], object]) -> Iterator[None]:
    """Within the context, batch-norm statistics are those of ``batches``; afterwards they are as before, bit for bit.

    Statistics are averaged over the batches with equal weights; every other module stays in evaluation mode.
    Source: arXiv:1904.00420 (single-path one-shot search), which recomputes them for every candidate.

    Args:
        model: in evaluation mode; its masks are set already.
        batches: training images under test transforms, at least one batch.
        forward: runs the model on one batch.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    saved = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for a cumulative average
            norm.train()
        with torch.no_grad():
            for batch in batches:
                forward(batch)
        for norm in norms:
            norm.eval()
        yield
    finally:
        for norm, buffers, momentum in zip(norms, saved, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum
            for name, buffer in norm.named_buffers():
                buffer.copy_(buffers[name])

"""Batch-norm statistics that belong to one scheme instead of to the average of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Batch = TypeVar('Batch')
Buffers = list[dict[str, Tensor]]


@contextmanager
def recalibrated(
    norms: Sequence[_BatchNorm], batches: Iterable[Batch], forward: Callable[[Batch], object]
) -> Iterator[None]:
    """Within the context, batch-norm statistics are those of ``batches``; afterwards they are as before, bit for bit.

    Statistics are averaged over the batches with equal weights; every other module stays in evaluation mode.
    Source: arXiv:1904.00420 (single-path one-shot search), which recomputes them for every candidate.

    Args:
        norms: in evaluation mode; see ``find_norms``.
        batches: training images under test transforms, at least one batch.
        forward: runs the model, whose masks are set already, on one batch.
    """
    saved = copy_buffers(norms)
    try:
        recalibrate(norms, batches, forward)
        yield
    finally:
        load_buffers(norms, saved)


def recalibrate(norms: Sequence[_BatchNorm], batches: Iterable[Batch], forward: Callable[[Batch], object]) -> None:
    """As ``recalibrated``, for good."""
    load_buffers(norms, reset_buffers(norms))
    with averaging(norms), torch.no_grad():
        for batch in batches:
            forward(batch)


def find_norms(model: nn.Module, outside: nn.Module | None = None) -> tuple[_BatchNorm, ...]:
    """The batch norms of a model that keep statistics, those of its part ``outside`` left out."""
    left_out = set() if outside is None else set(outside.modules())
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module not in left_out]
    return tuple(norm for norm in norms if norm.track_running_stats)


@contextmanager
def averaging(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Within the context, each pass normalises by its own batch and adds it to a cumulative average."""
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = None  # torch's word for a cumulative average
            norm.train()
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum


def copy_buffers(norms: Sequence[_BatchNorm]) -> Buffers:
    """The statistics of each norm."""
    return [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]


def load_buffers(norms: Sequence[_BatchNorm], buffers: Buffers) -> None:
    """Give each norm the statistics of ``buffers``."""
    for norm, given in zip(norms, buffers, strict=True):
        for name, buffer in norm.named_buffers():
            buffer.copy_(given[name])


def reset_buffers(norms: Sequence[_BatchNorm]) -> Buffers:
    """The statistics that each norm starts with."""
    fresh = copy_buffers(norms)
    for given in fresh:
        given['running_mean'].zero_()
        given['running_var'].fill_(1)
        given['num_batches_tracked'].zero_()
    return fresh

"""What attention.py compares: attentions of one width, each ready to be called on one map."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from mmcv.cnn.bricks import NonLocal2d
from torch import nn

from ean_mm.models import EfficientAttention

MODES = ('inference', 'training')
OURS, REFERENCE, NON_LOCAL = 'EfficientAttention', 'reference', 'NonLocal2d'
# n x n maps that NonLocal2d holds at once: a product and its softmax; the softmax and the gradients of both
MAPS_AT_ONCE = {'inference': 2, 'training': 3}
BYTES_OF_FLOAT = 4


@dataclass(frozen=True)
class Variant:
    """One of the attentions."""

    method: str
    num_heads: int = 1

    def __str__(self) -> str:
        return f'{self.method}, {self.num_heads} head{"s" if self.num_heads > 1 else ""}'


@dataclass(frozen=True)
class Case:
    """What an attention is called on: one map of random numbers, in one way."""

    channels: int
    mode: str
    size: int

    def __str__(self) -> str:
        return f'{self.channels} channels, {self.mode}, {self.size} x {self.size}'


class Bench:
    """Builds attentions and calls them.

    Args:
        device: where.
        reference: the class of the published implementation, if there is one.
    """

    def __init__(self, device: torch.device, reference: type[nn.Module] | None = None):
        self.device = device
        self.reference = reference

    def build(self, variant: Variant, channels: int) -> nn.Module:
        """Keys of C // 2 channels and values of C, the setting of the paper; NonLocal2d's own have C // 2."""
        torch.manual_seed(0)
        if variant.method == NON_LOCAL:
            return NonLocal2d(channels, sub_sample=False, mode='embedded_gaussian', zeros_init=False)
        if variant.method == REFERENCE:
            assert self.reference is not None
            return self.reference(channels, channels // 2, variant.num_heads, channels)
        return EfficientAttention(channels, num_heads=variant.num_heads)

    def prepare(self, variant: Variant, case: Case) -> Callable[[], None]:
        """Return one inference, or one forward pass and the backward pass of its mean, which reaches the map as well."""
        model = self.build(variant, case.channels).to(self.device).train(case.mode == 'training')
        x = torch.randn(1, case.channels, case.size, case.size, device=self.device)

        def predict() -> None:
            with torch.inference_mode():
                model(x)

        def train() -> None:
            model(x).mean().backward()
            model.zero_grad(set_to_none=True)
            x.grad = None

        if case.mode == 'inference':
            return predict
        x.requires_grad_()
        return train

    def is_too_large(self, variant: Variant, case: Case) -> str:
        """Why the case cannot be run in the memory that is free, or nothing where that is not known beforehand."""
        needed, free = least_bytes(variant, case), free_bytes(self.device)
        if needed <= free:
            return ''
        return f'its n x n maps need {needed / 2**30:.0f} GiB at once, {free / 2**30:.0f} GiB are free (computed, not tried)'


def least_bytes(variant: Variant, case: Case) -> int:
    """What the n x n maps of a call take at its worst moment; 0 for an attention without any."""
    if variant.method != NON_LOCAL:
        return 0
    return MAPS_AT_ONCE[case.mode] * case.size**4 * BYTES_OF_FLOAT


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken: of the GPU, or of the machine."""
    if device.type == 'cuda':
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path('/proc/meminfo')
    lines = meminfo.read_text().splitlines() if meminfo.exists() else []
    kib = [int(line.split()[1]) for line in lines if line.startswith('MemAvailable:')]
    return kib[0] * 2**10 if kib else os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')


def load_reference(path: Path) -> type[nn.Module]:
    """Return ``EfficientAttention`` of a copy of the published file, once it has been seen to compute what ours computes.

    Raises:
        ValueError: if it has no such class, or if that computes something else.
    """
    spec = importlib.util.spec_from_file_location('reference', path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise ValueError(f'`--reference` must be a Python file, but got {str(path)!r}.')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, 'EfficientAttention', None)
    if found is None:
        raise ValueError(f'`--reference` must have a class EfficientAttention, but got {str(path)!r}.')
    bench = Bench(torch.device('cpu'), found)
    for num_heads, size in product((1, 8), (4, 64)):  # ours computes small maps and large ones in another order
        ours, theirs = (bench.build(Variant(method, num_heads), 64).double() for method in (OURS, REFERENCE))
        theirs.load_state_dict(ours.state_dict())
        x = torch.randn(1, 64, size, size, dtype=torch.double)
        with torch.inference_mode():
            difference = (ours(x) - theirs(x)).abs().max().item()
        if difference > 1e-12:
            raise ValueError(f'`--reference` must compute what ours does, but got numbers {difference:.2g} apart.')
    return found

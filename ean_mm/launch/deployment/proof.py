"""Two networks on the same real images: do they compute the same?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

TOLERANCE = 1e-4  # of the largest output; float32 leaves about 1e-6 of it after fifty layers


@dataclass(frozen=True)
class Agreement:
    """How far two networks agree.

    Attributes:
        num_images: on how many images.
        max_error: the largest difference of two outputs, over the largest output.
        argmax: share of equal predictions in [0, 1]; None where the output has no classes.
    """

    num_images: int
    max_error: float
    argmax: float | None

    def to_dict(self) -> dict:
        """As plain values."""
        return asdict(self)

    def __str__(self) -> str:
        same = '' if self.argmax is None else f', {self.argmax:.2%} of the predictions equal'
        return f'largest difference {self.max_error:.1e} of the largest output on {self.num_images} images{same}'


class Inference(nn.Module):
    """A model of MM as a function from preprocessed images (N, 3, H, W) to what its head returns.

    Args:
        model: has a mode 'tensor'.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        return self.model(images, mode='tensor')


def preprocess(model: Any, batches: Iterable[Any]) -> list[Tensor]:
    """The images of collated batches, as the network sees them."""
    found = []
    for batch in batches:
        inputs = model.data_preprocessor(batch, False)['inputs']
        found.append(inputs if isinstance(inputs, Tensor) else torch.stack(list(inputs)))
    return found


def run(network: nn.Module, images: Iterable[Tensor]) -> list[list[Tensor]]:
    """All tensors a network returns, batch by batch; in full float32, where a GPU would round convolutions to TF32."""
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return [[leaf.float().cpu() for leaf in tree_leaves(network(batch))] for batch in images]


def compare_outputs(before: list[list[Tensor]], after: list[list[Tensor]]) -> Agreement:
    """Compare what :func:`run` has returned for two networks and the same images; the last tensor holds the predictions."""
    errors = [
        ((new - old).abs().max() / old.abs().max().clamp_min(torch.finfo(old.dtype).tiny)).item()
        for olds, news in zip(before, after, strict=True)
        for old, new in zip(olds, news, strict=True)
    ]
    last = [(olds[-1], news[-1]) for olds, news in zip(before, after, strict=True)]
    has_classes = last[0][0].dim() > 1 and last[0][0].shape[1] > 1
    equal = [(old.argmax(1) == new.argmax(1)).double().flatten() for old, new in last] if has_classes else []
    return Agreement(
        num_images=sum(len(old) for old, _ in last),
        max_error=torch.tensor(errors, dtype=torch.float64).max().item(),  # Python's max may pass over a NaN
        argmax=torch.cat(equal).mean().item() if equal else None,
    )


def require_agreement(what: str, agreement: Agreement) -> Agreement:
    """Return ``agreement`` if it is close enough.

    Raises:
        ValueError: if it is not, or an output is not finite.
    """
    if not agreement.max_error <= TOLERANCE:  # a NaN is no agreement either
        raise ValueError(
            f'`{what}` must compute what the trained network does, up to {TOLERANCE:g} of its largest output, but got '
            f'{agreement}; nothing was written.'
        )
    return agreement

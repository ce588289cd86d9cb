"""What the adapters to other libraries have in common."""

from __future__ import annotations

import copy
from itertools import chain

import torch
from torch import Tensor, nn

from .base import AttentionModule, changeable

# with what the code of another library answers arguments or inputs that it cannot use
REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class AdaptedAttention(AttentionModule):
    """A layer of another library as an attention: its result may be changed in place, its shape is the input's.

    Args:
        in_channels: C, the width of the residual branch.
        init_cfg: an mmengine initialisation config.

    Attributes:
        layer: the layer, which the constructor of a subclass builds.
    """

    layer: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return changeable(self.layer(x))

    def check_shape(self, height: int, width: int, argument: str, given: object) -> None:
        """Refuse a layer that is seen to change the shape of its input.

        Raises:
            ValueError: if it does; ``argument`` is what the user calls what he has ``given``.
        """
        before = (2, self.in_channels, height, width)
        after = output_shape(self.layer, before)
        if after not in (before, None):
            raise ValueError(
                f'`{argument}` must give a layer that keeps the shape of its input, but got {given!r}, with which '
                f'{before} becomes {after}.'
            )


def output_shape(layer: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape a layer makes of ``shape``, found without computing; None if it cannot be found that way.

    A copy on the meta device is run, which has shapes and no values: no weight is copied, no random number drawn and nothing
    left on the layer.

    >>> output_shape(nn.Conv2d(3, 4, 3), (1, 3, 8, 8))
    (1, 4, 6, 6)
    """
    tensors = chain(layer.parameters(), layer.buffers())
    try:
        with torch.no_grad(), torch.device('meta'):
            shadow = copy.deepcopy(layer, {id(tensor): tensor.to('meta') for tensor in tensors})
            shadow.eval()
            output = shadow(torch.empty(shape))
    except REFUSALS:  # it looks at values, wants another size, or uses an operator of one device only
        return None
    return tuple(output.shape) if isinstance(output, Tensor) else ()

"""In which precision and memory layout schemes are scored."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from ..structures.checks import require_one_of

PRECISIONS = ('float32', 'bfloat16', 'float16', 'fastest')

Model = TypeVar('Model', bound=nn.Module)


@dataclass(frozen=True)
class NumericMode:
    """How forward passes are computed.

    Attributes:
        dtype: of convolutions and matrix products; what autocast keeps in float32 stays there.
        is_channels_last: whether the network is converted to that memory layout.

    >>> NumericMode.named('float32', torch.device('cpu'))
    NumericMode(dtype=torch.float32, is_channels_last=False)
    """

    dtype: torch.dtype = torch.float32
    is_channels_last: bool = False

    @classmethod
    def named(cls, precision: str, device: torch.device) -> NumericMode:
        """The mode of a name.

        Args:
            precision: 'float32' runs the network as it is; 'bfloat16' and 'float16' under autocast and in channels_last;
                'fastest' takes bfloat16 where the device computes in it, else float16 on a GPU, else float32; all in
                channels_last. It asks the device and times nothing, so that the same machine always gives the same answer.
            device: where the network runs.

        Raises:
            ValueError: if the name is unknown, or the device does not compute in that precision.
        """
        require_one_of('precision', precision, PRECISIONS)
        if precision == 'float32':
            return cls()
        if precision == 'fastest':
            return cls(_fastest_dtype(device), True)
        dtype = getattr(torch, precision)
        if dtype is torch.float16 and device.type == 'cpu':
            raise ValueError("`precision` must be 'float32' or 'bfloat16' on a CPU, but got 'float16'.")
        return cls(dtype, True)

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs from an ordinary forward pass."""
        return self == NumericMode()

    def convert(self, model: Model) -> Model:
        """Return a copy of ``model`` with weights in this precision and layout; an exact mode returns the model itself."""
        if self.is_exact:
            return model
        converted = copy.deepcopy(model)
        for module in converted.modules():
            if isinstance(module, (_ConvNd, nn.Linear)):
                module.to(self.dtype)  # what autocast would do anew in every pass
        return converted.to(memory_format=torch.channels_last) if self.is_channels_last else converted

    @contextmanager
    def active(self, device: torch.device) -> Iterator[None]:
        """Within the context, passes of a converted model run in this mode, without gradients."""
        with torch.no_grad() if self.is_exact else torch.inference_mode(), self.autocast(device):
            yield

    def autocast(self, device: torch.device) -> AbstractContextManager:
        """What brings inputs into the precision of a converted model's weights."""
        return nullcontext() if self.dtype is torch.float32 else torch.autocast(device.type, self.dtype)

    def __str__(self) -> str:
        return str(self.dtype).removeprefix('torch.') + ', channels_last' * self.is_channels_last


def _fastest_dtype(device: torch.device) -> torch.dtype:
    if device.type == 'cuda':
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == 'cpu' and _has_bf16_units() else torch.float32


def _has_bf16_units() -> bool:
    """Whether the processor multiplies in bfloat16; where it does not, emulation is slower than float32."""
    ask = getattr(torch.cpu, 'get_capabilities', None)  # torch that cannot tell gets float32
    flags = ask() if ask is not None and torch.backends.mkldnn.is_available() else {}
    return any(found for name, found in flags.items() if 'bf16' in name)

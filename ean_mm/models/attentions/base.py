"""What every attention of this package is: a stateless module with a known width."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule, PretrainedInit
from torch import Tensor, nn

from ...structures.checks import require_one_of, require_whole

GATE_INITS = ('paper', 'identity')


class AttentionModule(BaseModule):
    """An attention module: a map of its input's shape, built from the number of channels.

    ``forward(x)`` returns a tensor of x's shape, so each is also an ordinary MM plugin layer. A module that hands a state
    from call to call is recurrent: it adds ``step(x, carry) -> (y, carry)``, and keeps nothing on itself.

    What a module needs to see of its input decides what can be moved elsewhere when a network is deployed:

    - ``reads = 'map'``: nothing is promised;
    - ``reads = 'mean'``: ``forward(x) == x * gate[:, :, None, None]`` with ``gate = gate_from_mean(x.mean((2, 3)))``, both
      (N, C). A recurrent one adds ``step_from_mean(mean, carry) -> (gate, carry)``, which its ``step`` multiplies by;
    - ``reads = 'nothing'``: the gate is the same for every image, ``constant_gate()`` of shape (C,). It has a
      ``gate_from_mean`` too, which looks at no value of the mean.

    Args:
        in_channels: C, the width of the residual branch.
        init_cfg: an mmengine initialisation config.

    Raises:
        ValueError: if ``in_channels`` is below 1.

    Attributes:
        bound_to: in words, what keeps one module from serving several sites ('one feature size (14, 14)'); empty where
            nothing does.
        reads: 'map', 'mean' or 'nothing', as above.
    """

    bound_to: str = ''
    reads: str = 'map'

    def __init__(self, in_channels: int, init_cfg: dict | list[dict] | None = None):
        super().__init__(init_cfg)
        self.in_channels = require_whole('in_channels', in_channels, 1)


class GatedAttention(AttentionModule):
    """An attention that can be plugged into a trained network without a shock: its first forward may return its input.

    With ``gate_init='identity'`` the parameters named by ``zero_at_identity`` start at zero, and the gate is multiplied by
    ``identity_scale``, the reciprocal of what it is there: the first output equals the input bit for bit, whatever an outer
    ``init_cfg`` has done. The factor is part of the module for good, so weights learned with one ``gate_init`` are not the
    other's. A constructor ends with ``self.start_gate()``.

    Args:
        in_channels: C, the width of the residual branch.
        gate_init: 'paper', the start that the module's paper gives it, or 'identity'.
        init_cfg: an mmengine initialisation config.

    Raises:
        ValueError: if an argument is none of the above.

    Attributes:
        zero_at_identity: names of the parameters that are zero where the gate is constant.
        identity_scale: 1 / that constant.
    """

    zero_at_identity: tuple[str, ...]
    identity_scale: int = 1

    def __init__(self, in_channels: int, gate_init: str, init_cfg: dict | list[dict] | None = None):
        super().__init__(in_channels, init_cfg)
        self.gate_init = require_one_of('gate_init', gate_init, GATE_INITS)
        self.starts_as_identity = gate_init == 'identity'

    def start_gate(self) -> None:
        """Zero the parameters that an identity start needs at zero; a 'paper' start is left alone."""
        if self.starts_as_identity:
            for name in self.zero_at_identity:
                nn.init.zeros_(self.get_parameter(name))

    def scale_gate(self, gate: Tensor) -> Tensor:
        """The gate as the input is multiplied by it."""
        return self.identity_scale * gate if self.starts_as_identity else gate

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` of this and outer modules say, and start the gate anew unless weights were loaded."""
        is_first_call = not self.is_init
        super().init_weights()
        if is_first_call and not _loads_weights(self.init_cfg):
            self.start_gate()


class ChannelAttention(AttentionModule):
    """An attention that multiplies each channel by one number, which it reads from the mean of every channel.

    ``y = x * gate(x)``; a subclass says ``gate_from_mean``. A caller that owns ``x`` and needs no gradient may have it
    multiplied in place, which saves a map of memory and its time.
    """

    reads = 'mean'

    def gate_from_mean(self, mean: Tensor) -> Tensor:
        """What each channel is multiplied by, (N, C), where its means are ``mean``, (N, C)."""
        raise NotImplementedError

    def gate(self, x: Tensor) -> Tensor:
        """What each channel of ``x`` is multiplied by, (N, C, 1, 1) or (1, C, 1, 1)."""
        return self.gate_from_mean(x.mean((2, 3)))[:, :, None, None]

    def forward(self, x: Tensor, in_place: bool = False) -> Tensor:
        gate = self.gate(x)
        return x.mul_(gate) if in_place else x * gate


def reads_of(attention: Any) -> str:
    """What any module, our own or not, says that it ``reads``."""
    return getattr(attention, 'reads', 'map')


def is_recurrent(attention: Any) -> bool:
    """Whether any module, our own or not, hands on a state; one that may or may not says so in ``is_recurrent``."""
    return getattr(attention, 'is_recurrent', hasattr(attention, 'step'))


def step_from_mean(attention: Any, mean: Tensor, carry: Any) -> tuple[Tensor, Any]:
    """The gate of an attention that reads no more than a mean, and its state; an untouched ``carry`` where it has none."""
    if is_recurrent(attention):
        return attention.step_from_mean(mean, carry)
    return attention.gate_from_mean(mean), carry


def _loads_weights(init_cfg: dict | list[dict] | None) -> bool:
    entries = [init_cfg] if isinstance(init_cfg, dict) else init_cfg or []
    return any(entry['type'] in ('Pretrained', PretrainedInit) for entry in entries)


def changeable(y: Tensor) -> Tensor:
    """Return ``y``, or a copy of it where autograd keeps ``y`` itself for the backward pass.

    A residual block adds its shortcut in place (``out += identity``). Operations like sigmoid, relu or softmax save their
    result, whose change the backward pass would refuse; most others save their inputs only, and cost nothing here.

    >>> x = torch.zeros(2, requires_grad=True)
    >>> y = changeable(x.sigmoid())
    >>> y += 1
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return y.clone()  # a graph being traced has no history to ask; compilers and exporters fuse or drop the copy
    made_by = (y if y._base is None else y._base).grad_fn
    # asked of the type: reading the attribute itself would unpack the tensor, which a checkpoint recomputes
    keeps_result = hasattr(type(made_by), '_saved_result') or hasattr(type(made_by), '_saved_output')
    return y.clone() if keeps_result else y

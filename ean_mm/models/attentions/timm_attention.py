"""Attention modules of timm, by the names of its factory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ...registry import MODELS, suggest
from .adapter import REFUSALS, AdaptedAttention

# The names timm's factory knows, which it does not list itself; only error messages read this table.
NAMES = (
    *('se', 'ese', 'eca', 'ecam', 'ceca', 'ge', 'gc', 'gca', 'cbam', 'lcbam', 'coord', 'scoord', 'ela', 'strip'),
    *('sk', 'splat', 'lambda', 'bottleneck', 'halo', 'nl', 'bat'),
)


def _se_gate(layer: Any, mean: Tensor) -> Tensor:
    hidden = layer.act(layer.bn(layer.fc1(mean[:, :, None, None])))
    return layer.gate(layer.fc2(hidden)).flatten(1)


def _ese_gate(layer: Any, mean: Tensor) -> Tensor:
    return layer.gate(layer.fc(mean[:, :, None, None])).flatten(1)


def _eca_gate(layer: Any, mean: Tensor) -> Tensor:
    logits = layer.conv(mean[:, None])
    if layer.conv2 is not None:
        logits = layer.conv2(layer.act(logits))
    return layer.gate(logits).flatten(1)


def _ceca_gate(layer: Any, mean: Tensor) -> Tensor:
    rows = pad(mean[:, None], (layer.padding, layer.padding), mode='circular')
    return layer.gate(layer.conv(rows)).flatten(1)


# What the modules do behind their pooling, written against their children; taken only where it gives the same numbers.
_GATES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    'se': _se_gate,
    'ese': _ese_gate,
    'eca': _eca_gate,
    'ecam': _eca_gate,
    'ceca': _ceca_gate,
}
_SIDE = 56  # of the map on which the shape is tried: 'halo' wants a multiple of 8, 'bat' of 7


@MODELS.register_module()
class TimmAttention(AdaptedAttention):
    """Any module of timm's attention factory: SE and ECA variants, CBAM, global context, coordinate attention, ...

    ``y = timm.layers.create_attn(name, in_channels, **arguments)(x)``.
    Source: the package timm, asked for when the module is built; each module's paper is named in its file there.

    Args:
        in_channels: C, the width of the residual branch at this stage.
        name: 'se', 'ese', 'eca', 'ecam', 'ceca', 'ge', 'gc', 'gca', 'cbam', 'lcbam', 'coord', 'scoord', 'ela', 'strip', 'sk',
            'splat', 'lambda', 'bottleneck', 'halo', 'nl' or 'bat', as the installed timm has them.
        init_cfg: an mmengine initialisation config.
        **arguments: arguments of that module. With ``feat_size`` it is bound to one size and cannot be shared.

    Shape: x, y: (N, C, H, W). 'halo' and 'bat' need H and W divisible by their ``block_size`` (8 and 7 by default),
        'bottleneck' the ``feat_size`` it is built with.
    Cost: the module's.
    Raises:
        ImportError: if timm is not installed.
        ValueError: if timm knows no such name or refuses the arguments, or with them the module would change its input's
            shape.

    Attributes:
        reads: 'mean' for 'se', 'ese', 'eca', 'ecam' and 'ceca' where the module is found to multiply each channel by a gate of
            the means alone (not with max pooling or a batch norm in it), 'map' for every other.

    >>> TimmAttention(in_channels=8, name='eca')(torch.ones(2, 8, 5, 5)).shape  # doctest: +SKIP
    torch.Size([2, 8, 5, 5])
    """

    def __init__(self, in_channels: int, name: str = 'eca', init_cfg: dict | None = None, **arguments: Any):
        super().__init__(in_channels, init_cfg)
        factory = _find_factory(name)
        _check_argument_names(name, factory, arguments)
        try:
            self.layer: nn.Module = factory(in_channels, **arguments)
        except REFUSALS as err:
            raise ValueError(
                f"`arguments` must be what timm's {name!r} is built with, but got {arguments!r}; timm answers {err!r}."
            ) from err
        feat_size = arguments.get('feat_size')
        if feat_size is not None:
            self.bound_to = f'one feature size {feat_size}'
        side = feat_size or _SIDE * arguments.get('block_size', 1)
        height, width = side if isinstance(side, Sequence) and len(side) == 2 else (side, side)
        self.check_shape(height, width, 'arguments', dict(name=name, **arguments))
        self.kind = name.lower()
        if self.kind in _GATES and _is_the_gate(_GATES[self.kind], self.layer, in_channels):
            self.reads = 'mean'

    def gate_from_mean(self, mean: Tensor) -> Tensor:
        """What each channel is multiplied by, (N, C); only where ``reads`` is 'mean'."""
        return _GATES[self.kind](self.layer, mean)


def _find_factory(name: str) -> Callable[..., nn.Module]:
    try:
        from timm.layers import get_attn
    except ImportError as err:
        raise ImportError(
            f'`name` must be built by the package timm, but got {name!r} without it ({err}); pip install timm.'
        ) from err
    factory = _look_up(get_attn, name)
    if factory is None:
        known = [known for known in NAMES if _look_up(get_attn, known)]
        hint = suggest(str(name), known, f'it has {", ".join(known)}.')
        raise ValueError(f"`name` must be one of timm's attention modules, but got {name!r}; {hint}")
    return factory


def _look_up(get_attn: Callable[[str], Any], name: str) -> Callable[..., nn.Module] | None:
    try:
        return get_attn(name) if isinstance(name, str) else None
    except AssertionError:  # timm's answer to a name it does not know
        return None


def _is_the_gate(gate: Callable[[Any, Tensor], Tensor], layer: nn.Module, in_channels: int) -> bool:
    """Whether ``layer`` multiplies each channel by ``gate`` of its means, tried on two small maps.

    A module with buffers (a batch norm in the middle) is none: in training its gate depends on the batch.
    """
    if any(True for _ in layer.buffers()):
        return False
    x = torch.randn(2, in_channels, 2, 3, generator=torch.Generator().manual_seed(0), device='cpu')
    try:
        with torch.no_grad():
            x = x.to(next(layer.parameters()))
            return torch.allclose(layer(x), x * gate(layer, x.mean((2, 3)))[:, :, None, None], rtol=1e-5, atol=1e-6)
    except REFUSALS:  # another timm: other children, or none
        return False


def _check_argument_names(name: str, factory: Callable[..., nn.Module], arguments: dict[str, Any]) -> None:
    """Refuse arguments that the module would drop: some take any keyword (``**_``) and read none of it."""
    parameters = inspect.signature(factory).parameters
    if any(each.kind is each.VAR_KEYWORD and key != '_' for key, each in parameters.items()):
        return
    known = [key for key in list(parameters)[1:] if key != '_']
    for key, value in arguments.items():
        if key not in known:
            raise ValueError(f"`{key}` must be an argument of timm's {name!r} ({', '.join(known)}), but got {value!r}.")

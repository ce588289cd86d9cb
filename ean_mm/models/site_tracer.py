"""The forward pass of a backbone, followed step by step down to its sites."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from .site_slot import SiteSlot


class GraphError(ValueError):
    """A backbone whose forward pass is no fixed graph."""


class _SampledProxy(fx.Proxy):
    """A proxy whose length is that of the value for the sample."""

    def __len__(self) -> int:
        return len(cast(_SiteTracer, self.tracer).ask(self.node))


class _SiteTracer(fx.Tracer):
    """Follow modules that contain sites, or all of them, and take the others as they are.

    Each step is also run on a sample, so that code which asks for a shape gets an answer.

    Args:
        sample: images, (N, 3, H, W).
        deep: follow every module that is not one of torch's own.
    """

    def __init__(self, sample: Tensor, deep: bool):
        super().__init__()
        self.deep = deep
        self.sample = sample
        self.values: dict[fx.Node, Any] = {}
        self.is_running = False  # the sample, not the trace
        self.was_asked = False

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        if isinstance(module, SiteSlot):
            return True
        if self.deep:
            return super().is_leaf_module(module, name)
        return not any(isinstance(child, SiteSlot) for child in module.modules())

    def create_proxy(self, kind: str, target: Any, args: tuple, kwargs: dict, *rest: Any, **more: Any) -> fx.Proxy:
        given = fx.node.map_aggregate((args, kwargs), self._value_of)
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        self.is_running = True
        try:
            self.values[proxy.node] = self._compute(kind, target, *cast(Any, given))
        finally:
            self.is_running = False
        return proxy

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _SampledProxy(node, self)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: tuple, kwargs: dict) -> Any:
        return forward(*args, **kwargs) if self.is_running else super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict) -> Any:
        return attr_val if self.is_running else super().getattr(attr, attr_val, parameter_proxy_cache)

    def to_bool(self, obj: fx.Proxy) -> bool:
        value = self.ask(obj.node)
        return super().to_bool(obj) if isinstance(value, Tensor) else bool(value)

    def iter(self, obj: fx.Proxy) -> Any:
        value = self.ask(obj.node)
        return super().iter(obj) if isinstance(value, Tensor) else iter([cast(Any, obj)[i] for i in range(len(value))])

    def ask(self, node: fx.Node) -> Any:
        """The value for the sample, on which the code goes its way from here."""
        self.was_asked = True
        return self.values[node]

    def _value_of(self, argument: Any) -> Any:
        return self.values[argument.node] if isinstance(argument, fx.Proxy) else argument

    def _compute(self, kind: str, target: Any, args: tuple, kwargs: dict) -> Any:
        if kind == 'placeholder':
            return self.sample
        if kind == 'get_attr':
            return operator.attrgetter(target)(self.root)
        if kind == 'call_module':
            return self.root.get_submodule(target)(*args, **kwargs)
        if kind == 'call_method':
            return getattr(args[0], target)(*args[1:], **kwargs)
        return target(*args, **kwargs) if kind == 'call_function' else None


def trace_sites(backbone: nn.Module, sample: Tensor, deep: bool = False) -> tuple[fx.Graph, tuple[int, ...] | None]:
    """Read the forward pass of a bare backbone, in whose blocks the slots of its sites are.

    Args:
        backbone: in evaluation mode.
        sample: images of the size that will be run, (N, 3, H, W); code may choose its way by it.
        deep: follow every module that is not one of torch's own; by default those alone that contain a site.

    Returns:
        The graph, and (H, W) of the images that it holds for: None where the code never asked for a size.

    Raises:
        GraphError: if the pass depends on values of tensors.
    """
    try:
        with torch.no_grad():
            tracer = _SiteTracer(sample[:1], deep)
            traced = tracer.trace(backbone)
            tracer.values.clear()  # a cycle of references would keep them for long
    except (fx.proxy.TraceError, TypeError, AttributeError, RuntimeError, NameError, ValueError, AssertionError) as err:
        raise GraphError(f'the forward pass of {type(backbone).__name__} is no fixed graph ({err})') from err
    return traced, tuple(sample.shape[2:]) if tracer.was_asked else None

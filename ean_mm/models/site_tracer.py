"""The forward pass of a backbone, followed step by step down to its sites."""

from __future__ import annotations

import operator
from collections.abc import Callable, Set
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .site_slot import SiteSlot


class GraphError(ValueError):
    """A backbone whose forward pass is no fixed graph."""


_NO_GRAPH = (fx.proxy.TraceError, TypeError, AttributeError, RuntimeError, NameError, ValueError, AssertionError)


class _SampledProxy(fx.Proxy):
    """A proxy whose length is that of the value for the sample."""

    def __len__(self) -> int:
        return len(cast(_SiteTracer, self.tracer).ask(self.node))


def _has_slot(module: nn.Module) -> bool:
    return any(isinstance(child, SiteSlot) for child in module.modules())


def attend(branch: Tensor, slot: str) -> Tensor:
    """Stands in a deep trace where the attention of a site is, whose slot has this path; the shape stays."""
    return branch


class _SiteTracer(fx.Tracer):
    """Follow modules that contain sites, or all of them, and take the others as they are.

    Each step is also run on a sample, so that code which asks for a shape gets an answer.

    Args:
        sample: images, (N, 3, H, W).
        deep: follow every module that is not one of torch's own.
        steps: paths of modules that a deep trace takes as they are.

    Attributes:
        asked_in: paths of the modules whose code asked for a shape or a value, or could not be followed; '' is the root.
    """

    def __init__(self, sample: Tensor, deep: bool, steps: Set[str] = frozenset()):
        super().__init__()
        self.deep = deep
        self.steps = steps
        self.asked_in: set[str] = set()
        self._path = ['']
        self._failed = False
        self.sample = sample
        self.values: dict[fx.Node, Any] = {}
        self.is_running = False  # the sample, not the trace

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        if self.deep:  # timm's norms are their own classes
            is_step = isinstance(module, _BatchNorm) or name in self.steps
            return is_step or super().is_leaf_module(module, name)
        if isinstance(module, SiteSlot):
            return True
        return not _has_slot(module)

    def create_proxy(self, kind: str, target: Any, args: tuple, kwargs: dict, *rest: Any, **more: Any) -> fx.Proxy:
        given = fx.node.map_aggregate((args, kwargs), self._value_of)
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        self.is_running = True
        try:
            self.values[proxy.node] = self._compute(kind, target, *cast(Any, given))
        finally:
            self.is_running = False
        if isinstance(self.values[proxy.node], Tensor):
            proxy.node.meta['shape'] = tuple(self.values[proxy.node].shape)
        return proxy

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _SampledProxy(node, self)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: tuple, kwargs: dict) -> Any:
        if self.is_running:
            return forward(*args, **kwargs)
        if self.deep and isinstance(m, SiteSlot):
            return self._follow(m, *args, **kwargs)
        self._path.append(self.path_of_module(m))
        try:
            found = super().call_module(m, forward, args, kwargs)
        except _NO_GRAPH:
            if not self._failed:
                self._failed = True
                self.asked_in.add(self._path[-1])
            raise
        finally:
            self._path.pop()
        return found

    def _follow(self, slot: SiteSlot, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Trace the child of a slot, and leave a mark where its attention is."""

        def mark(branch: Any) -> fx.Proxy:
            return self.create_proxy('call_function', attend, (branch, self.path_of_module(slot)), {})

        return slot.child(mark(x), *args, **kwargs) if slot.comes_first else mark(slot.child(x, *args, **kwargs))

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
        self.asked_in.add(self._path[-1])
        return self.values[node]

    def find_steps(self) -> set[str]:
        """Modules without a site that asked: taken as they are, they ask in their own time."""
        if not self.deep:
            return set()
        return {path for path in self.asked_in - self.steps if path and not _has_slot(self.root.get_submodule(path))}

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
        deep: follow every module that is not one of torch's own, slots included: ``attend`` marks the sites; what asks for a
            size and has no site is one step. By default only modules are followed that contain a site, and a slot is one step.

    Returns:
        The graph, and (H, W) of the images that it holds for: None where the code never asked for a size. A node whose value
        is a tensor has its shape for one image in ``meta['shape']``.

    Raises:
        GraphError: if the pass depends on values of tensors.
    """
    steps: set[str] = set()
    while True:
        tracer = _SiteTracer(sample[:1], deep, steps)
        try:
            with torch.no_grad():
                traced = tracer.trace(backbone)
        except _NO_GRAPH as err:
            if not (found := tracer.find_steps()):
                raise GraphError(f'the forward pass of {type(backbone).__name__} is no fixed graph ({err})') from err
        else:
            if not (found := tracer.find_steps()):
                return traced, tuple(sample.shape[2:]) if tracer.asked_in else None
        finally:
            tracer.values.clear()  # a cycle of references would keep them for long
        steps |= found

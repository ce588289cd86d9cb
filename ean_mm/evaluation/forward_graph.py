"""The forward pass of a wrapped backbone as a graph whose values know on which bits of a scheme they depend."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..models import EANBackbone
from ..models.augmented_slot import AugmentedSlot
from ..models.site_slot import SiteSlot
from ..models.site_tracer import GraphError, trace_sites

_OUT_OF_PLACE = {
    getattr(operator, f'i{name}'): getattr(operator, name)
    for name in ('add', 'sub', 'mul', 'truediv', 'floordiv', 'pow')
}


@dataclass(frozen=True)
class Ref:
    """The value of another node."""

    index: int


@dataclass
class Node:
    """One value of the forward pass.

    Attributes:
        call: computes it from ``args`` and ``kwargs``, the references in which are replaced by values.
        inputs: indices of the nodes it reads.
        depends: the bits of a scheme on which it depends; bit k belongs to site k.
        site: the site whose branch this is, or None.
        gate: the site whose bit chooses between both values of this node, or None.
        off: computes the value where the bit of the gate is off; None hands on what the node reads.
        norms: batch norms that run in it, whose statistics may be recalibrated.
        is_frontier: whether another value reads it that depends on more bits: what to keep for other schemes.
        seconds: the shortest call of those that were timed.
        num_timed: how many were.
    """

    call: Callable[..., Any]
    args: tuple = ()
    kwargs: dict = field(default_factory=dict)
    inputs: tuple[int, ...] = ()
    depends: int = 0
    site: int | None = None
    gate: int | None = None
    off: Callable[..., Any] | None = None
    norms: tuple[_BatchNorm, ...] = ()
    is_frontier: bool = False
    seconds: float = 0.0
    num_timed: int = 0


@dataclass(frozen=True)
class ForwardGraph:
    """The nodes of a forward pass in order; node 0 is the image.

    Attributes:
        nodes: what is computed.
        output: the backbone's output, with references for values.
        outputs: indices of the nodes in it.
        size: (H, W) of the images that it holds for; None where the code never asked for a size.
    """

    nodes: tuple[Node, ...]
    output: Any
    outputs: tuple[int, ...]
    size: tuple[int, ...] | None = None


def trace_backbone(backbone: EANBackbone, sample: Tensor) -> ForwardGraph:
    """Read the forward pass of a backbone in evaluation mode.

    Args:
        backbone: what is read.
        sample: images of the size that will be run, (N, 3, H, W); code may choose its way by it.

    Raises:
        GraphError: if the pass depends on values of tensors, runs a site or a batch norm twice, or keeps batch-norm
            statistics in an attention, which all sites of a group would share.
    """
    for group, attention in backbone.ean.items():
        if any(isinstance(module, _BatchNorm) for module in attention.modules()):
            raise GraphError(f'the attention of {group} has batch norm, whose statistics mix its sites')
    return _Builder(backbone).build(*trace_sites(backbone.backbone, sample))


class _Builder:
    """Turn a traced graph into nodes: each slot becomes a branch and a gate, in-place operations make new values."""

    def __init__(self, backbone: EANBackbone):
        self.bare = backbone.backbone
        self.site_of = {id(slot): site for site, slot in enumerate(backbone.slots)}
        self.nodes: list[Node] = []
        self.refs: dict[fx.Node, Ref] = {}
        self.carries: dict[int, Ref] = {}
        self.seen: set[int] = set()

    def build(self, traced: fx.Graph, size: tuple[int, ...] | None) -> ForwardGraph:
        output = None
        for node in traced.nodes:
            if node.op == 'output':
                output = self._refer(node.args[0])
            else:
                self.refs[node] = self._translate(node)
        outputs = _references(output)
        self._mark_frontier(outputs)
        return ForwardGraph(tuple(self.nodes), output, outputs, size)

    def _translate(self, node: fx.Node) -> Ref:
        args = self._refer(node.args)
        kwargs = self._refer(node.kwargs)
        if node.op == 'placeholder':
            if self.nodes:
                raise GraphError('the backbone takes more than an image')
            return self._add(_no_call)
        if node.op == 'get_attr':
            return self._add(lambda name=node.target: operator.attrgetter(name)(self.bare))
        if node.op == 'call_module':
            return self._translate_module(self.bare.get_submodule(str(node.target)), args, kwargs)
        if node.op == 'call_method':
            return self._add(_method(str(node.target)), args, kwargs)
        if kwargs.get('inplace'):
            kwargs = {**kwargs, 'inplace': False}
        return self._add(_OUT_OF_PLACE.get(node.target, node.target), args, kwargs)

    def _refer(self, arguments: Any) -> Any:
        return fx.node.map_arg(arguments, cast(Any, self.refs.__getitem__))

    def _translate_module(self, module: nn.Module, args: tuple, kwargs: dict) -> Ref:
        if isinstance(module, SiteSlot):
            return self._translate_slot(module, args, kwargs)
        norms = tuple(m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats)
        self._require_once(norms)
        return self._add(module, args, kwargs, norms=norms)

    def _translate_slot(self, slot: SiteSlot, args: tuple, kwargs: dict) -> Ref:
        site = self.site_of[id(slot)]
        self._require_once((slot,))
        if isinstance(slot, AugmentedSlot):
            return self._add(slot.run_connected, args, kwargs, site=site, gate=site, off=slot.child)
        if slot.comes_first:
            gate = self._add_gate(slot, site, args[0])
            return self._translate_module(slot.child, (gate, *args[1:]), kwargs)
        branch = self._translate_module(slot.child, args, kwargs)
        return self._add_gate(slot, site, branch)

    def _add_gate(self, slot: SiteSlot, site: int, branch: Ref) -> Ref:
        self.nodes[branch.index].site = site
        attention = slot.attention
        if attention is None or not attention.has_carry:
            return self._add(attention or _no_call, (branch,), gate=site)
        carry = self.carries.get(id(attention)) or self._add(_no_carry)
        pair = self._add(attention.step, (branch, carry), gate=site)
        self.carries[id(attention)] = self._add(operator.itemgetter(1), (pair,))
        return self._add(operator.itemgetter(0), (pair,))

    def _add(self, call: Callable[..., Any], args: tuple = (), kwargs: dict | None = None, **facts: Any) -> Ref:
        inputs = _references((args, kwargs or {}))
        depends = 0 if facts.get('gate') is None else 1 << facts['gate']
        for index in inputs:
            depends |= self.nodes[index].depends
        self.nodes.append(Node(call, tuple(args), dict(kwargs or {}), inputs, depends, **facts))
        return Ref(len(self.nodes) - 1)

    def _require_once(self, modules: tuple[nn.Module, ...]) -> None:
        for module in modules:
            if id(module) in self.seen:
                raise GraphError(f'a {type(module).__name__} runs twice in one forward pass')
            self.seen.add(id(module))

    def _mark_frontier(self, outputs: tuple[int, ...]) -> None:
        everything = (1 << len(self.site_of)) - 1
        for node in self.nodes:
            for index in node.inputs:
                read = self.nodes[index]
                read.is_frontier |= read.depends != node.depends and index > 0
        for index in outputs:
            self.nodes[index].is_frontier |= self.nodes[index].depends != everything


def _references(value: Any) -> tuple[int, ...]:
    """Indices of the nodes that ``value`` refers to, each once."""
    found: dict[int, None] = {}

    def visit(part: Any) -> None:
        if isinstance(part, Ref):
            found[part.index] = None
        elif isinstance(part, (tuple, list)):
            for each in part:
                visit(each)
        elif isinstance(part, dict):
            for each in part.values():
                visit(each)
        elif isinstance(part, slice):
            for each in (part.start, part.stop, part.step):
                visit(each)

    visit(value)
    return tuple(found)


def fill(value: Any, values: dict[int, Any]) -> Any:
    """Replace references by the values of their nodes."""
    if isinstance(value, Ref):
        return values[value.index]
    if isinstance(value, (tuple, list)):
        return type(value)(fill(each, values) for each in value)
    if isinstance(value, dict):
        return {key: fill(each, values) for key, each in value.items()}
    if isinstance(value, slice):
        return slice(fill(value.start, values), fill(value.stop, values), fill(value.step, values))
    return value


def _method(name: str) -> Callable[..., Any]:
    if name.endswith('_') and not name.endswith('__'):
        name = name[:-1]  # relu_ changes its tensor, which other schemes may read again; relu does not
    return lambda tensor, *args, **kwargs: getattr(tensor, name)(*args, **kwargs)


def _no_carry() -> None:
    return None


def _no_call(*_: Tensor) -> Tensor:
    raise GraphError('the image is given, and an attention that was not built has no bit that is on')


def bits_of(mask: Any) -> int:
    """A scheme's mask as a number, site 0 in the lowest bit."""
    return sum(1 << site for site, bit in enumerate(mask) if bit)

"""Rewrite a backbone's forward pass so that it computes the same with fewer passes over its maps."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..models import AugmentedBackbone, EANBackbone, SharedAttention
from ..models.hidden_level import HiddenLevel
from ..models.plain_layers import is_plain_conv
from ..models.site_slot import SiteSlot
from ..models.site_tracer import GraphError, attend, trace_sites
from .fusion import fold_norm, is_known_norm

_ADDS = (operator.add, operator.iadd, torch.add)


class AttentionStep(HiddenLevel):
    """An attention as a step of the graph, with the state of earlier sites: of maps, or of means where it reads no more.

    ``(mean, carry) -> (gate, carry)``, mean and gate (N, C); or ``(x, carry) -> (y, carry)``.
    """

    hidden_child = 'shared'

    def __init__(self, shared: SharedAttention):
        super().__init__()
        self.shared = shared

    def forward(self, read: Tensor, carry: Any = None) -> tuple[Tensor, Any]:
        step = self.shared.step if self.shared.reads == 'map' else self.shared.step_from_mean
        return step(read, carry)


def mean_of(x: Tensor) -> Tensor:
    """The mean of every channel: (N, C, H, W) to (N, C)."""
    return x.mean((2, 3))


def mean_behind(mean: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The mean of a 1x1 convolution's output, from the mean of its input; the convolution is linear and shifts nothing."""
    return nn.functional.linear(mean, weight.flatten(1), bias)


def multiply(x: Tensor, gate: Tensor) -> Tensor:
    """Multiply each channel by its gate."""
    return x * gate[:, :, None, None]


def multiply_and_add(x: Tensor, gate: Tensor, identity: Tensor) -> Tensor:
    """``identity + x * gate`` in one pass, written over ``x``, which nobody reads again."""
    return torch.addcmul(identity, x, gate[:, :, None, None], out=x)


def rewrite(backbone: nn.Module, sample: Tensor) -> fx.GraphModule:
    """Return a backbone that computes the same in evaluation mode, with fewer passes over maps.

    Batch norms behind a convolution become part of it. Where an attention reads no more than the mean of its branch, and the
    branch ends in a 1x1 convolution that widens it, the mean is taken in front of that convolution, where the map is narrow:
    it is linear, so the mean of its output is its output for the mean. The gate, the product with it and the addition of the
    shortcut are one pass. Every other attention runs as it did.

    Args:
        backbone: a wrapped or a bare backbone; it is left as it is.
        sample: an image, (1, 3, H, W); its values do not matter.

    Raises:
        GraphError: if the forward pass is no fixed graph, depends on the size of the image, or has augmented convolutions.
    """
    if isinstance(backbone, AugmentedBackbone):
        raise GraphError('convolutions that attention augments have no gate that could be moved')
    backbone = copy.deepcopy(backbone).requires_grad_(False)
    backbone.eval()  # which returns nothing in the backbones of MM
    wrapped = backbone if isinstance(backbone, EANBackbone) else None
    bare = backbone if wrapped is None else wrapped.backbone
    graph, size = trace_sites(bare, sample, deep=True)
    if size is not None:
        raise GraphError(f'the forward pass of {type(bare).__name__} chooses its way by the size of the image')
    return _Rewriter(bare, graph, {} if wrapped is None else _name_groups(wrapped)).run()


def _name_groups(backbone: EANBackbone) -> dict[int, str]:
    return {id(attention): f'ean.{group}' for group, attention in backbone.ean.items()}


class _Rewriter:
    def __init__(self, bare: nn.Module, graph: fx.Graph, groups: dict[int, str]):
        self.bare = bare
        self.graph = graph
        self.groups = groups
        self.slots = {path for path, module in bare.named_modules() if isinstance(module, SiteSlot)}
        self.carries: dict[str, fx.Node] = {}
        self.replaced: dict[str, Any] = {}  # target to the module that stands there now

    def run(self) -> fx.GraphModule:
        for rewrite_node in (self._drop_identity, self._expand_mark, self._fold_norm, self._move_mean, self._join_add):
            for node in list(self.graph.nodes):
                rewrite_node(node)
        owned = {}
        for node in self.graph.nodes:
            if node.op in ('call_module', 'get_attr'):
                part = self._get(str(node.target))
                node.target = self._without_slots(str(node.target))
                owned[node.target] = part
        module = fx.GraphModule(owned, self.graph, 'Rewritten')
        module.graph.eliminate_dead_code()
        module.recompile()
        return module

    def _without_slots(self, target: str) -> str:
        """The path of a module without the level that a slot adds."""
        names = target.split('.')
        for depth in range(len(names) - 1, 0, -1):
            parent = '.'.join(names[:depth])
            if names[depth] == 'child' and parent in self.slots:
                del names[depth]
        return '.'.join(names)

    def _get(self, target: str) -> Any:
        return self.replaced[target] if target in self.replaced else operator.attrgetter(target)(self.bare)

    def _module(self, node: Any) -> Any:
        """The module that a node calls; None if it calls none."""
        return self._get(str(node.target)) if isinstance(node, fx.Node) and node.op == 'call_module' else None

    def _call(self, target: str | Callable[..., Any], *args: Any) -> fx.Node:
        if isinstance(target, str):
            return self.graph.call_module(target, args)
        return self.graph.call_function(target, args)

    # -- from marks to attention as nodes ------------------------------------------------------------------------------

    def _expand_mark(self, node: fx.Node) -> None:
        if node.target is not attend:
            return
        branch, path = node.args
        slot = self._get(str(path))
        attended: Any = branch
        if slot.attention is not None and slot.connected:
            with self.graph.inserting_before(node):
                attended = self._attend(slot.attention, branch)
        node.replace_all_uses_with(attended)
        self.graph.erase_node(node)

    def _attend(self, shared: SharedAttention, branch: Any) -> fx.Node:
        target = self.groups[id(shared)]
        reads_map = shared.reads == 'map'
        if target not in self.replaced:
            self.replaced[target] = AttentionStep(shared)
        read = branch if reads_map else self._call(mean_of, branch)
        carry = (self.carries[target],) if target in self.carries else ()
        pair = self._call(target, read, *carry)
        if shared.has_carry:
            self.carries[target] = self._call(operator.getitem, pair, 1)
        found = self._call(operator.getitem, pair, 0)
        return found if reads_map else self._call(multiply, branch, found)

    # -- the rewriting steps ---------------------------------------------------------------------------------------------

    def _fold_norm(self, node: fx.Node) -> None:
        norm = self._module(node)
        conv_node = node.args[0] if node.args else None
        if not isinstance(norm, _BatchNorm) or not isinstance(conv_node, fx.Node) or len(conv_node.users) > 1:
            return
        conv = self._module(conv_node)
        folds = conv is not None and is_plain_conv(conv) and norm.running_mean is not None
        if not folds or not is_known_norm(norm) or self._is_called_twice(conv_node) or self._is_called_twice(node):
            return
        self.replaced[str(conv_node.target)] = fold_norm(conv, norm)
        activation = getattr(norm, 'act', None)  # of timm's norms
        if activation is not None and not isinstance(activation, nn.Identity):
            self.replaced[str(node.target)] = activation
        else:
            node.replace_all_uses_with(conv_node)
            self.graph.erase_node(node)

    def _is_called_twice(self, node: fx.Node) -> bool:
        return sum(other.op == 'call_module' and other.target == node.target for other in self.graph.nodes) > 1

    def _move_mean(self, node: fx.Node) -> None:
        if node.target is not mean_of:
            return
        conv_node: Any = node.args[0]
        conv = self._module(conv_node)
        if conv is None or not is_plain_conv(conv) or not _widens_points(conv):
            return
        with self.graph.inserting_before(conv_node):
            mean = self._call(mean_of, conv_node.args[0])
            weight = self._get_parameter(f'{conv_node.target}.weight')
            bias = None if conv.bias is None else self._get_parameter(f'{conv_node.target}.bias')
            moved = self._call(mean_behind, mean, weight, bias)
        node.replace_all_uses_with(moved)
        self.graph.erase_node(node)

    def _get_parameter(self, target: str) -> fx.Node:
        owner, _, name = target.rpartition('.')
        self.replaced[target] = getattr(self._get(owner), name)
        return self.graph.get_attr(target)

    def _drop_identity(self, node: fx.Node) -> None:
        if isinstance(self._module(node), (nn.Identity, nn.Dropout, nn.Dropout2d)):
            node.replace_all_uses_with(cast(fx.Node, node.args[0]))
            self.graph.erase_node(node)

    def _join_add(self, node: fx.Node) -> None:
        """Write a sum, and the product with a gate in it, over the branch where that is a fresh tensor nobody reads again."""
        if node.target not in _ADDS or len(node.args) != 2 or node.kwargs:
            return
        for end, identity in (node.args, node.args[::-1]):
            if not isinstance(end, fx.Node) or not isinstance(identity, fx.Node) or end is identity:
                continue
            is_product = end.target is multiply and len(end.users) == 1
            branch, *gate = end.args if is_product else (end,)
            if self._is_free(cast(fx.Node, branch), end if is_product else node) and _has_shape_of(branch, node):
                with self.graph.inserting_before(node):
                    joined = self._call(multiply_and_add if is_product else operator.iadd, branch, *gate, identity)
                node.replace_all_uses_with(joined)
                self.graph.erase_node(node)
                if is_product:
                    self.graph.erase_node(end)
                return

    def _is_free(self, node: fx.Node, reader: fx.Node) -> bool:
        """Whether a node makes a new tensor, and ``reader`` is the only one that reads more than its mean."""
        is_fresh = isinstance(self._module(node), (nn.Conv2d, _BatchNorm, nn.GroupNorm))
        return is_fresh and all(user is reader or user.target is mean_of for user in node.users)


def _has_shape_of(branch: Any, total: fx.Node) -> bool:
    """Whether a sum is as large as a branch; one of a row and a map cannot be written over the row."""
    return branch.meta['shape'] == total.meta['shape']


def _widens_points(conv: nn.Conv2d) -> bool:
    is_point = conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding in ((0, 0), 0) and conv.groups == 1
    return is_point and conv.in_channels < conv.out_channels

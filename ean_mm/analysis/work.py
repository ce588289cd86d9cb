"""The work of one run, counted operator by operator: multiply-accumulates, and element-wise operations apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import Tag, Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

# Operators that arrange or fill memory and compute nothing, beside those which torch itself tags as views; the names
# without the underscores of in-place and internal variants.
_MOVES_DATA = """
    arange as_strided_scatter bernoulli cat channel_shuffle clone constant_pad_nd copy diagonal_scatter embedding
    empty empty_like empty_permuted empty_strided eye fill flip full full_like gather im2col index index_copy
    index_put index_select lift_fresh linspace local_scalar_dense masked_scatter masked_select
    native_channel_shuffle new_empty new_empty_strided new_full new_ones new_zeros nonzero normal ones ones_like
    pixel_shuffle pixel_unshuffle rand rand_like randint randint_like randn randn_like randperm reflection_pad1d
    reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d
    reshape_copy resize resize_as roll rot90 scalar_tensor scatter select_scatter set stack take to_copy
    tril_indices triu_indices uniform unsafe_index unsafe_index_put unsafe_split unsafe_split_with_sizes unsafe_view
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_nearest_exact1d upsample_nearest_exact2d
    upsample_nearest_exact3d zero zeros zeros_like
"""
MOVES_DATA = frozenset(_MOVES_DATA.split())
VIEW_TAGS = frozenset({Tag.inplace_view, Tag.view_copy})


@dataclass(frozen=True)
class Work:
    """What a run computes.

    Attributes:
        macs: multiply-accumulates of convolutions and matrix products.
        elementwise: operations of everything else, one per element and operator.
    """

    macs: int
    elementwise: int

    def __add__(self, other: Work) -> Work:
        return Work(self.macs + other.macs, self.elementwise + other.elementwise)

    def __sub__(self, other: Work) -> Work:
        return Work(self.macs - other.macs, self.elementwise - other.elementwise)


class WorkCounter:
    """Count the work of whatever runs inside the context; ``work`` may be read at any time.

    ``macs`` are half of what ``torch.utils.flop_counter.FlopCounterMode`` counts: convolutions and matrix products, a bias
    among them free. Scaled dot-product attention is run, and so counted, by its formula, on every device alike.
    ``elementwise`` adds, for every other operator that reaches ATen, the elements of the largest tensor it reads or writes:
    the output of a point-wise operator (additions, activations, gates, comparisons), the input of a reduction or a pooling,
    input or output of a norm, a softmax or an interpolation, whichever is larger. An operator counts once per element,
    however much arithmetic an element takes: a batch norm is one operator.
    Not counted: views, copies, casts and changes of memory layout, fills and random numbers, concatenation, padding,
    indexing and gathering, and anything that runs outside ATen.
    """

    def __init__(self) -> None:
        self._flops = FlopCounterMode(display=False)
        self._rest = _ElementCounter(self._flops)
        self._contexts = ExitStack()

    @property
    def work(self) -> Work:
        """What has been counted so far."""
        return Work(self._flops.get_total_flops() // 2, self._rest.elements)

    def __enter__(self) -> WorkCounter:
        with ExitStack() as contexts:
            for context in (sdpa_kernel(SDPBackend.MATH), self._flops, self._rest):
                contexts.enter_context(context)
            self._contexts = contexts.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._contexts.__exit__(*error)


class _ElementCounter(TorchDispatchMode):
    """Count what a FLOP counter around it leaves out."""

    def __init__(self, flops: FlopCounterMode) -> None:
        super().__init__()
        self.flops = flops
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket in self.flops.flop_registry or _moves_data(func):
            return func(*args, **kwargs)  # the counter around this one sees what is registered there
        if 'upsample_' not in func._schema.name:  # into which parts torch takes an interpolation depends on its version
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        self.elements += _largest((args, kwargs, out))
        return out


def count_work(run: Callable[[], object]) -> Work:
    """Count one call of ``run``; see ``WorkCounter`` for what counts.

    >>> count_work(lambda: torch.relu(torch.ones(2, 3) @ torch.ones(3, 4)))
    Work(macs=24, elementwise=8)
    """
    with WorkCounter() as counter:
        run()
    return counter.work


def _moves_data(func: Any) -> bool:
    name = func._schema.name.partition('::')[2].strip('_')
    return func.is_view or not VIEW_TAGS.isdisjoint(func.tags) or name in MOVES_DATA


def _largest(values: Any) -> int:
    leaves: Iterable[Any] = tree_leaves(values)
    return max((leaf.numel() for leaf in leaves if isinstance(leaf, Tensor)), default=0)

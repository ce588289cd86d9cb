"""Forward passes of many schemes that compute what they have in common once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ..models import EANBackbone
from ..models.site_tracer import GraphError
from .activation_store import ActivationStore
from .forward_graph import Node, bits_of, fill, trace_backbone
from .recalibration import averaging, copy_buffers, find_norms, load_buffers, reset_buffers

IMAGE = 0
NUM_TIMINGS = 3

Images = Callable[[], Tensor]


@dataclass
class _Statistics:
    """Batch-norm buffers of one node under one prefix, and how many calibration batches are in them."""

    buffers: list[dict[str, Tensor]]
    num_batches: int = 0


class SharedForward:
    """Run the backbone for one scheme after another, each value once for all schemes that agree on the bits before it.

    What the next scheme may read again is offered to the store. The same modules run on the same tensors as in an ordinary
    forward pass, so the results are the same bit for bit. With calibration, batch norm uses statistics of its own for
    every prefix: the cumulative averages over the calibration batches that recalibrating the whole scheme would give it.

    Args:
        backbone: in evaluation mode.
        store: where activations are kept.
        is_calibrated: whether batch-norm statistics are those of calibration batches; else they are the backbone's own.
        sample: images of the size that will be run, (N, 3, H, W).

    Raises:
        GraphError: if the backbone's forward pass is no fixed graph.

    Attributes:
        num_block_images: residual branches that were run, times their images.
    """

    def __init__(self, backbone: EANBackbone, store: ActivationStore, is_calibrated: bool, sample: Tensor):
        self.backbone = backbone
        self.store = store
        self.is_calibrated = is_calibrated
        self.graph = trace_backbone(backbone, sample)
        self.num_block_images = 0
        self._norms = find_norms(backbone) if is_calibrated else ()  # whose statistics change while passes run
        self._inplace: list[Any] = [m for m in backbone.modules() if getattr(m, 'inplace', False)]
        self._statistics: dict[tuple[int, int], _Statistics] = {}
        self._position = -1  # of the calibration batch that is being added; none is

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within the context, passes may run; afterwards batch norm and in-place modules are as they were."""
        buffers = copy_buffers(self._norms)
        try:
            for module in self._inplace:
                module.inplace = False  # a kept tensor must not change
            yield
        finally:
            for module in self._inplace:
                module.inplace = True
            load_buffers(self._norms, buffers)

    # -- what is run -----------------------------------------------------------------------------------------------------

    def predict(self, batch: object, images: Images, mask: Iterable[bool]) -> Any:
        """The backbone's output for one batch under one scheme, whose calibration is done.

        Args:
            batch: names the images: the same name, the same images.
            images: gives them, (N, 3, H, W); called only if they are needed.
            mask: the scheme.
        """
        values = self._run(('predict', batch), images, bits_of(mask), self.graph.outputs, self._predict_node)
        return fill(self.graph.output, values)

    def calibrate(self, batches: Iterable[Images], masks: Iterable[Iterable[bool]]) -> None:
        """Find the batch-norm statistics of schemes; those of prefixes that are known stay.

        Args:
            batches: what gives the images of each calibration batch, the same ones in every call.
            masks: the schemes; neighbours share most if they are sorted.
        """
        todo = {bits: missing for bits in map(bits_of, masks) if (missing := self._missing_statistics(bits))}
        if not todo:
            return
        try:
            for position, images in enumerate(batches):
                self._position = position
                for bits, missing in todo.items():
                    wanted = [i for i in missing if self._find_statistics(i, bits).num_batches == position]
                    self._run(('calibrate', position), images, bits, wanted, self._calibrate_node)
        except BaseException:
            for bits, missing in todo.items():  # averages over some of the batches are nobody's statistics
                for index in missing:
                    self._statistics.pop((index, bits & self.graph.nodes[index].depends), None)
            raise
        finally:
            self._position = -1

    def forget_activations(self) -> None:
        """Let every kept activation go; statistics stay."""
        self.store.clear()

    def calibrated_output(self, position: int, images: Images, mask: Iterable[bool]) -> Any:
        """The backbone's output for a calibration batch during calibration, for batch norm that comes after it."""
        values = self._run(('calibrate', position), images, bits_of(mask), self.graph.outputs, self._calibrate_node)
        return fill(self.graph.output, values)

    def _missing_statistics(self, bits: int) -> list[int]:
        nodes = enumerate(self.graph.nodes)
        return [i for i, node in nodes if node.norms and (i, bits & node.depends) not in self._statistics]

    def _find_statistics(self, index: int, bits: int) -> _Statistics:
        node = self.graph.nodes[index]
        key = index, bits & node.depends
        if key not in self._statistics:
            self._statistics[key] = _Statistics(reset_buffers(node.norms))
        return self._statistics[key]

    # -- how it is run ---------------------------------------------------------------------------------------------------

    def _run(
        self,
        run: tuple,
        images: Images,
        bits: int,
        wanted: Sequence[int],
        compute: Callable[[int, int, dict[int, Any]], Any],
    ) -> dict[int, Any]:
        """Return the wanted values, computed from the last values before them that are kept."""
        nodes = self.graph.nodes
        values, todo, uses = self._plan(run, bits, wanted)
        since: dict[int, float] = {}  # seconds from the kept values up to each value
        for index in todo:
            if index == IMAGE:
                values[index] = self._require_size(images())
                continue
            node = nodes[index]
            out = values[index] = self._timed(node, compute, index, bits, values)
            since[index] = node.seconds + sum(since.get(source, 0.0) for source in node.inputs)
            if node.is_frontier:
                self.store.offer((run, index, bits & node.depends), out, since[index])
                since[index] = 0.0
            if node.site is not None:
                self.num_block_images += len(next(leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)))
            for source in node.inputs:
                uses[source] -= 1
                if not uses[source]:
                    del values[source]
        return values

    def _require_size(self, images: Tensor) -> Tensor:
        if self.graph.size is not None and tuple(images.shape[2:]) != self.graph.size:
            raise GraphError(
                f'the forward pass chooses its way by the size of the images and was read at {self.graph.size}, '
                f"but got {tuple(images.shape[2:])}; set activation_budget='0B'"
            )
        return images

    def _plan(self, run: tuple, bits: int, wanted: Sequence[int]) -> tuple[dict[int, Any], list[int], list[int]]:
        """Return the kept values to start from, the nodes to compute in order, and how often each value is read."""
        nodes = self.graph.nodes
        values: dict[int, Any] = {}
        todo: list[int] = []
        uses = [0] * len(nodes)
        for index in wanted:
            uses[index] += 1
        for index in range(max(wanted, default=-1), -1, -1):
            if not uses[index]:
                continue
            node = nodes[index]
            kept = self.store.get((run, index, bits & node.depends)) if node.is_frontier else None
            if kept is not None and not self._adds_to_statistics(index, bits):
                values[index] = kept
                continue
            todo.append(index)
            for source in node.inputs:
                uses[source] += 1
        return values, todo[::-1], uses

    def _timed(self, node: Node, compute: Callable, index: int, bits: int, values: dict[int, Any]) -> Any:
        """Compute a node; the first calls are timed, the shortest counts, and watched for changing what they read."""
        if node.num_timed >= NUM_TIMINGS:
            return compute(index, bits, values)
        read = [leaf for source in node.inputs for leaf in tree_leaves(values[source]) if isinstance(leaf, Tensor)]
        before = _versions(read)
        self._synchronize()
        start = time.perf_counter()
        out = compute(index, bits, values)
        self._synchronize()
        node.seconds = min(time.perf_counter() - start, node.seconds if node.num_timed else float('inf'))
        node.num_timed += 1
        if before != _versions(read):
            raise GraphError(f'{node.call} changes the tensor it reads, which other schemes read too')
        return out

    def _synchronize(self) -> None:
        device = next(self.backbone.parameters()).device
        if device.type == 'cuda':
            torch.cuda.synchronize(device)

    def _adds_to_statistics(self, index: int, bits: int) -> bool:
        is_open = self._position >= 0 and bool(self.graph.nodes[index].norms)
        return is_open and self._find_statistics(index, bits).num_batches == self._position

    def _predict_node(self, index: int, bits: int, values: dict[int, Any]) -> Any:
        node = self.graph.nodes[index]
        if node.norms and self.is_calibrated:
            load_buffers(node.norms, self._statistics[index, bits & node.depends].buffers)
        return _compute(node, bits, values)

    def _calibrate_node(self, index: int, bits: int, values: dict[int, Any]) -> Any:
        node = self.graph.nodes[index]
        if not node.norms:
            return _compute(node, bits, values)
        is_added = self._adds_to_statistics(index, bits)
        statistics = self._find_statistics(index, bits)
        load_buffers(node.norms, statistics.buffers)
        with averaging(node.norms):
            out = _compute(node, bits, values)
        if is_added:
            statistics.buffers = copy_buffers(node.norms)
            statistics.num_batches += 1
        return out


def _versions(tensors: Iterable[Tensor]) -> list[int]:
    """How often each tensor was changed, where torch counts: not in inference mode."""
    return [tensor._version for tensor in tensors if not tensor.is_inference()]


def _compute(node: Node, bits: int, values: dict[int, Any]) -> Any:
    if node.gate is not None and not bits >> node.gate & 1:
        inputs = fill(node.args, values)
        if node.off is not None:
            return node.off(*inputs)
        return inputs[0] if len(inputs) == 1 else inputs  # the branch as it is, and a carry handed on
    return node.call(*fill(node.args, values), **fill(node.kwargs, values))

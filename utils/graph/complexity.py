"""What a network costs: parameters, multiply-adds, activation memory.

FLOPs are multiply-adds, counted once, of kernels only (convolutions and matrix products), as the
literature's tables do; everything else counts 0. Two rules: *all positions* counts every kernel
entry at every output position; *skip padding* only where it meets the image. *Sparse* figures count
only entries that are not exactly zero. All per sample.
"""

from __future__ import annotations

import dataclasses
import functools
import re

import numpy as np

from utils.graph import ops
from utils.graph.ir import Graph, Node, Shape, num_elements


@dataclasses.dataclass(frozen=True)
class Row:
    """The cost of one layer, all its calls together.

    Attributes:
        name: the layer.
        op: its class.
        output_shape: of its first call's first output, batch axis included.
        params: number of parameters, non-trainable ones included.
        nonzeros: how many of them are not zero.
        flops: multiply-adds per sample.
        sparse_flops: those with a non-zero parameter.
        activation_bytes: size of its outputs for one sample, in bytes.
    """

    name: str
    op: str
    output_shape: Shape
    params: int
    nonzeros: int
    flops: int
    sparse_flops: int
    activation_bytes: int

    @property
    def sparsity(self) -> float:
        """Fraction of the parameters that are zero."""
        return 1.0 - self.nonzeros / self.params if self.params else 0.0


@dataclasses.dataclass(frozen=True)
class Complexity:
    """The cost of a network.

    Attributes:
        rows: one per layer, in order.
        peak_activation_bytes: the most that tensors in use take together at any one time, for one
            sample, when nodes run in the graph's order and results are freed after their last use.
    """

    rows: tuple[Row, ...]
    peak_activation_bytes: int

    def _total(self, field: str) -> int:
        return sum(getattr(row, field) for row in self.rows)

    @functools.cached_property
    def params(self) -> int:
        """All parameters; equals Keras' `count_params()`."""
        return self._total("params")

    @functools.cached_property
    def nonzeros(self) -> int:
        """Parameters that are not zero."""
        return self._total("nonzeros")

    @functools.cached_property
    def flops(self) -> int:
        """Multiply-adds per sample."""
        return self._total("flops")

    @functools.cached_property
    def sparse_flops(self) -> int:
        """Multiply-adds per sample with a non-zero parameter."""
        return self._total("sparse_flops")

    @property
    def sparsity(self) -> float:
        """Fraction of the parameters that are zero."""
        return 1.0 - self.nonzeros / self.params if self.params else 0.0


def complexity(graph: Graph, skip_padding: bool = False) -> Complexity:
    """Count parameters, multiply-adds and activation memory.

    Args:
        graph: the network. Unknown spatial sizes count as 1.
        skip_padding: count multiply-adds only where the kernel meets the image.

    Returns:
        Figures per layer and in total.
    """
    rows = {}
    for node in graph.nodes:
        if node.layer not in rows:
            rows[node.layer] = _row(graph, graph.calls(node.layer), skip_padding)
    return Complexity(tuple(rows.values()), _peak_bytes(graph))


def _row(graph: Graph, calls: tuple[Node, ...], skip_padding: bool) -> Row:
    first = calls[0]
    arrays = graph.params.get(first.layer, {})
    macs = [_macs(graph, node, skip_padding) for node in calls]
    return Row(
        name=first.layer,
        op=first.op,
        output_shape=first.output_shapes[0],
        params=sum(array.size for array in arrays.values()),
        nonzeros=sum(int(np.count_nonzero(array)) for array in arrays.values()),
        flops=sum(dense for dense, _ in macs),
        sparse_flops=sum(sparse for _, sparse in macs),
        activation_bytes=sum(_output_bytes(node) for node in calls),
    )


def _macs(graph: Graph, node: Node, skip_padding: bool) -> tuple[int, int]:
    """Multiply-adds of one call, and those with a non-zero parameter."""
    row = ops.find(graph, node)
    dense = sparse = 0
    for weight, count_uses in {} if row is None else row.uses.items():
        array = graph.params[node.layer][weight]
        uses = count_uses(graph, node, skip_padding).astype(np.int64)
        entries = array.size // uses.size
        nonzeros = np.count_nonzero(array.reshape(uses.size, -1), axis=1)
        dense += int(uses.sum()) * entries
        sparse += int(uses.ravel() @ nonzeros)
    return dense, sparse


def _output_bytes(node: Node) -> int:
    return sum(
        num_elements(shape) * _item_bytes(dtype)
        for shape, dtype in zip(node.output_shapes, node.output_dtypes, strict=True)
    )


def _item_bytes(dtype: str) -> int:
    """Bytes per element, by the number of bits in the type's name; 1 for bool and string."""
    bits = re.search(r"\d+", dtype)
    return max(int(bits[0]) // 8, 1) if bits else 1


def _peak_bytes(graph: Graph) -> int:
    """Largest sum of the tensors that are in use while some node runs."""
    last_use = {node.name: index for index, node in enumerate(graph.nodes)}
    for index, node in enumerate(graph.nodes):
        for ref in node.inputs:
            last_use[ref.node] = index
    for ref in graph.outputs:
        last_use[ref.node] = len(graph.nodes)
    freed_after: dict[int, list[int]] = {}
    in_use = peak = 0
    for index, node in enumerate(graph.nodes):
        size = _output_bytes(node)
        in_use += size
        freed_after.setdefault(last_use[node.name], []).append(size)
        peak = max(peak, in_use)
        in_use -= sum(freed_after.pop(index, ()))
    return peak

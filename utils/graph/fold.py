"""The fused form of a network, as it runs: batch norm and activations inside the layer before them.

    y = gamma · (W·x + b - mean) / s + beta,   s = sqrt(variance + epsilon)
      = (gamma/s · W)·x + (beta + gamma/s · (b - mean))

The trainable form stays as it is; this is a second graph with equal outputs (to about 1e-5).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np

from utils.graph import ops
from utils.graph.ir import Graph, Node, Ref, rename_inputs, rename_refs
from utils.graph.ops_weighted import is_linear
from utils.graph.row import channel_axis

_Params = Mapping[str, Mapping[str, np.ndarray]]
Origins = Mapping[Ref, Ref]
"""Tensor of a fused network -> the same tensor of the one before; others have kept their names."""
_Merged = tuple[Node, dict[str, np.ndarray]] | None
_Folding = Callable[[Graph, Node, Node, _Params], _Merged]


def fold(graph: Graph, *, activations: bool = True) -> Graph:
    """Fold batch normalization into the convolution or Dense layer in front of it.

    A batch norm is folded if nothing else reads what it normalizes, the layer in front has no
    activation of its own, and neither is shared. Others (before a convolution, after a sum) stay.

    Args:
        graph: the trainable network; it is not changed.
        activations: also put an activation behind such a layer into its `activation`.

    Returns:
        The fused graph. The fused layers keep the names of the convolutions.
    """
    graph = fold_norms(graph)[0]
    return fuse_activations(graph)[0] if activations else graph


def fold_norms(
    graph: Graph, chosen: Callable[[Graph, Node], bool] = lambda graph, source: True
) -> tuple[Graph, Origins]:
    """Fold batch normalization, and say where the tensors come from.

    Args:
        graph: the network.
        chosen: given the network and a layer, whether what stands behind it is folded into it.
    """

    def folded(graph: Graph, source: Node, node: Node, params: _Params) -> _Merged:
        return _folded_norm(graph, source, node, params) if chosen(graph, source) else None

    return _fold_each(graph, folded)


def fuse_activations(graph: Graph, kinds: Container[Any] | None = None) -> tuple[Graph, Origins]:
    """Put activations into the layers before them, and say where the tensors come from.

    Args:
        graph: the network.
        kinds: values of `activation` that may go there; None for all.
    """

    def fused(graph: Graph, source: Node, node: Node, params: _Params) -> _Merged:
        merged = _fused_activation(graph, source, node, params)
        if merged is None or kinds is None or merged[0].attrs["activation"] in kinds:
            return merged
        return None

    return _fold_each(graph, fused)


def _fold_each(graph: Graph, folded: _Folding) -> tuple[Graph, Origins]:
    """Merge every node that `folded` can into the one it reads from, in one pass."""
    nodes: dict[str, Node] = {}
    params = dict(graph.params)
    renamed: dict[Ref, Ref] = {}
    origins: dict[Ref, Ref] = {}
    outputs = set(graph.outputs)
    for original in graph.nodes:
        node = rename_inputs(original, renamed)
        source = nodes.get(node.inputs[0].node) if len(node.inputs) == 1 else None
        merged = None
        if source is not None and _only_link(graph, original, outputs):
            merged = folded(graph, source, node, params)
        if merged is None or source is None:
            nodes[node.name] = node
            continue
        nodes[source.name], params[source.layer] = merged
        params.pop(node.layer, None)
        renamed[Ref(node.name)] = Ref(source.name)
        origins[Ref(source.name)] = Ref(node.name)
    folded_graph = graph.replace(
        nodes=tuple(nodes.values()),
        params={layer: arrays for layer, arrays in params.items() if arrays},
        output_structure=rename_refs(graph.output_structure, renamed),
    )
    return folded_graph, origins


def _only_link(graph: Graph, node: Node, outputs: set[Ref]) -> bool:
    """Whether a node is the only reader of a tensor, and neither side is shared."""
    ref = node.inputs[0]
    return (
        ref not in outputs
        and len(graph.consumers(ref.node)) == 1
        and len(graph.calls(node.layer)) == 1
        and len(graph.calls(graph.node(ref.node).layer)) == 1
    )


def _folded_norm(graph: Graph, source: Node, node: Node, params: _Params) -> _Merged:
    row, norm = ops.find(graph, source), ops.find(graph, node)
    if not normalizes(graph, source, node) or row is None or row.folds is None:
        return None
    if norm is None or norm.affine is None:
        return None
    scale, shift = norm.affine(params[node.layer], node.attrs)
    weight, axes = row.folds
    arrays = dict(params[source.layer])
    kernel = arrays[weight]
    shape = [size if axis - kernel.ndim in axes else 1 for axis, size in enumerate(kernel.shape)]
    bias = arrays.get("bias", np.zeros(scale.size))
    arrays[weight] = (kernel * scale.reshape(shape)).astype(kernel.dtype)
    arrays["bias"] = (shift + scale * bias).astype(kernel.dtype)
    return source.with_attrs(use_bias=True), arrays


def normalizes(graph: Graph, source: Node, node: Node) -> bool:
    """Whether a node is an affine map of the output channels of a linear layer.

    Args:
        graph: the network.
        source: the layer.
        node: what reads its output.
    """
    row, norm = ops.find(graph, source), ops.find(graph, node)
    if row is None or row.folds is None or norm is None or norm.affine is None:
        return False
    rank = len(source.output_shapes[0])
    return is_linear(source) and node.attrs["axis"] % rank == channel_axis(source.attrs, rank)


def _fused_activation(graph: Graph, source: Node, node: Node, params: _Params) -> _Merged:
    source_row, row = ops.find(graph, source), ops.find(graph, node)
    if source_row is None or source_row.folds is None or not is_linear(source):
        return None
    activation = None if row is None or row.activation is None else row.activation(node.attrs)
    if activation is None:
        return None
    return source.with_attrs(activation=activation), dict(params[source.layer])

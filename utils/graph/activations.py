"""How much a network has to remember at once while it runs.

A tensor lives from the node that makes it to the last that reads it. Nodes that work value by value
on a tensor that nobody else reads write over it, and reshaping moves nothing: so batch norms and
activations behind a convolution cost nothing of their own, as in a runtime that fuses them.
"""

from __future__ import annotations

import math

from utils.graph.ir import INPUT_LAYER, Graph, Node, Ref
from utils.graph.ops_pointwise import ROWS as POINTWISE

_VIEWS = frozenset({"keras.layers.Flatten", "keras.layers.Reshape", "keras.src.ops.numpy.Reshape"})


def peak_activations(graph: Graph) -> int | None:
    """Count the values of all tensors that are alive together, at most, in the order of the nodes.

    Runtimes may order nodes better, and add working memory of their own kernels.

    Args:
        graph: the network.

    Returns:
        Values of one sample; times the bytes of a value it is the peak. None where a tensor has an
        open size.

    Example:
        >>> import keras
        >>> from utils.graph import from_keras
        >>> inputs = keras.Input((8, 8, 3))
        >>> x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
        >>> x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        >>> graph = from_keras(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)))
        >>> peak_activations(graph) == 8 * 8 * 3 + 8 * 8 * 4
        True
    """
    homes, last = _homes(graph), {}
    for place, node in enumerate(graph.nodes):
        for ref in node.inputs:
            last[homes[ref]] = place
    for ref in graph.outputs:
        last[homes[ref]] = len(graph.nodes)
    alive: dict[Ref, int] = {}
    peak = 0
    # Inputs are there from the beginning, wherever their node stands.
    ordered = sorted(enumerate(graph.nodes), key=lambda pair: pair[1].op != INPUT_LAYER)
    for place, node in ordered:
        for ref in _outputs(node):
            if homes[ref] == ref:
                size = _size(graph, ref)
                if size is None:
                    return None
                alive[ref] = size
        peak = max(peak, sum(alive.values()))
        alive = {ref: size for ref, size in alive.items() if last.get(ref, -1) > place}
    return peak


def _homes(graph: Graph) -> dict[Ref, Ref]:
    """Say of each tensor whose memory it lies in: its own, or that of the one it is made of."""
    homes: dict[Ref, Ref] = {}
    for node in graph.nodes:
        for ref in _outputs(node):
            homes[ref] = homes[node.inputs[0]] if _in_place(graph, node) else ref
    return homes


def _in_place(graph: Graph, node: Node) -> bool:
    if len(node.inputs) != 1 or len(node.output_shapes) != 1:
        return False
    if node.op in _VIEWS:
        return True
    (source,) = node.inputs
    alone = len(graph.consumers(source.node)) == 1 and source not in graph.outputs
    is_input = graph.node(source.node).op == INPUT_LAYER
    same = graph.shape(source) == node.output_shapes[0]
    return node.op in POINTWISE and alone and same and not is_input


def _outputs(node: Node) -> list[Ref]:
    return [Ref(node.name, index) for index in range(len(node.output_shapes))]


def _size(graph: Graph, ref: Ref) -> int | None:
    sizes = graph.shape(ref)[1:]
    return None if None in sizes else math.prod(size or 1 for size in sizes)

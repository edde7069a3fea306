"""Put nodes between a tensor and those that read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.ir import Graph, Node, Ref, rename_inputs, rename_refs, unique_name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Insertion:
    """A layer to put behind a tensor; its output has the tensor's shape and type.

    Attributes:
        source: the tensor.
        readers: nodes that read the layer's output instead; others go on reading the tensor.
        name: of the layer; changed where it is taken.
        op: see `Node.op`.
        attrs: config of the layer, without its name.
        params: its weights by name.
        also: further tensors that the same layer stands behind, with their readers.
        outputs: whether outputs of the model among these tensors are read behind the layer too.
    """

    source: Ref
    readers: Sequence[str]
    name: str
    op: str
    attrs: Mapping[str, Any]
    params: Mapping[str, np.ndarray]
    also: Sequence[tuple[Ref, Sequence[str]]] = ()
    outputs: bool = False


def layer_name(node: str, ending: str) -> str:
    """Name a layer after a node: later calls of a shared layer have a `#`, which layers may not.

    Example:
        >>> layer_name("conv#1", "range")
        'conv.1_range'
    """
    return f"{node.replace('#', '.')}_{ending}"


def insert(graph: Graph, insertions: Sequence[Insertion]) -> tuple[Graph, list[str]]:
    """Put layers into a network.

    Args:
        graph: the network, not changed.
        insertions: what goes where. A node may read through one for each tensor.

    Returns:
        The network with the layers in it, and their names in the order of `insertions`.

    Raises:
        ValueError: if a node does not read the tensor that it is said to.
    """
    taken = {node.name for node in graph.nodes} | {node.layer for node in graph.nodes}
    behind: dict[str, list[Node]] = {}
    renamed: dict[str, dict[Ref, Ref]] = {}
    renamed_outputs: dict[Ref, Ref] = {}
    params, names = dict(graph.params), []
    for each in insertions:
        name = unique_name(each.name, taken)
        taken.add(name)
        names.append(name)
        for call, (source, readers) in enumerate([(each.source, each.readers), *each.also]):
            node = Node(
                name=f"{name}#{call}" if call else name,
                layer=name,
                op=each.op,
                attrs={**each.attrs, "name": name},
                args=(source,),
                output_shapes=(graph.shape(source),),
                output_dtypes=(graph.dtype(source),),
            )
            behind.setdefault(source.node, []).append(node)
            if source in graph.outputs and each.outputs:
                renamed_outputs[source] = Ref(node.name)
            for reader in readers:
                if source not in graph.node(reader).inputs:
                    raise ValueError(f"node {reader!r} does not read {source}.")
                renamed.setdefault(reader, {})[source] = Ref(node.name)
        if each.params:
            params[name] = dict(each.params)
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(rename_inputs(node, renamed[node.name]) if node.name in renamed else node)
        nodes += behind.get(node.name, [])
    structure = rename_refs(graph.output_structure, renamed_outputs)
    return graph.replace(nodes=tuple(nodes), params=params, output_structure=structure), names

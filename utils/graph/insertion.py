"""Put nodes between a tensor and those that read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.ir import Graph, Node, Ref, rename_inputs, unique_name


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
    """

    source: Ref
    readers: Sequence[str]
    name: str
    op: str
    attrs: Mapping[str, Any]
    params: Mapping[str, np.ndarray]


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
    params, names = dict(graph.params), []
    for each in insertions:
        name = unique_name(each.name, taken)
        taken.add(name)
        names.append(name)
        node = Node(
            name=name,
            layer=name,
            op=each.op,
            attrs={**each.attrs, "name": name},
            args=(each.source,),
            output_shapes=(graph.shape(each.source),),
            output_dtypes=(graph.dtype(each.source),),
        )
        behind.setdefault(each.source.node, []).append(node)
        for reader in each.readers:
            if each.source not in graph.node(reader).inputs:
                raise ValueError(f"node {reader!r} does not read {each.source}.")
            renamed.setdefault(reader, {})[each.source] = Ref(name)
        if each.params:
            params[name] = dict(each.params)
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(rename_inputs(node, renamed[node.name]) if node.name in renamed else node)
        nodes += behind.get(node.name, [])
    return graph.replace(nodes=tuple(nodes), params=params), names

"""The picture of a network that everything shares: calls of layers in order, and named arrays.

A `Graph` is immutable: functions that change a network return a new one, which shares the arrays
it did not touch. It knows nothing of what an op means; that is in `utils.graph.ops`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

import numpy as np

INPUT_LAYER = "keras.layers.InputLayer"
Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Ref:
    """One output tensor of a node."""

    node: str
    index: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Capability:
    """One line of the capability report: what was done with a layer, and why."""

    layer: str
    action: str  # "cut", "kept", "opaque" or "flattened"
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One call of a layer or operation.

    Attributes:
        name: unique per call: the layer's name, for its second call `<layer>#1`, and so on.
        layer: whose weights the call uses; the calls of a shared layer have it in common.
        op: the class, `keras.layers.Conv2D`, or `package>Class` for a registered class of the
            user's.
        attrs: the layer's `get_config()`, or the constructor's state of a `keras.ops` operation.
        args: positional arguments of the call; tensors in it are `Ref`s.
        kwargs: keyword arguments of the call, likewise.
        output_shapes: one per output tensor, batch axis (None) included.
        output_dtypes: one per output tensor.
    """

    name: str
    layer: str
    op: str
    attrs: Mapping[str, Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    output_shapes: tuple[Shape, ...] = ()
    output_dtypes: tuple[str, ...] = ()

    @functools.cached_property
    def inputs(self) -> tuple[Ref, ...]:
        """The tensors that the call reads, in the order of its arguments."""
        return tuple(leaf for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Ref))

    def replace(self, **changes: Any) -> Node:
        """Copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def with_attrs(self, **changes: Any) -> Node:
        """Copy with some entries of `attrs` changed."""
        return self.replace(attrs={**self.attrs, **changes})


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A network.

    Attributes:
        name: the model's name.
        nodes: all calls, each after those it reads from.
        params: arrays by layer and weight name, both in the order of Keras' `weights`.
        input_structure: what the model is called with: a `Ref`, or lists and dicts of them.
        output_structure: what it returns, likewise.
        notes: what reading the model changed (nested models flattened).
        allow_unsafe: whether layers that run arbitrary Python code were admitted.

    Raises:
        ValueError: if names repeat or a node reads a tensor that no earlier node makes.
    """

    name: str
    nodes: tuple[Node, ...]
    params: Mapping[str, Mapping[str, np.ndarray]]
    input_structure: Any
    output_structure: Any
    notes: tuple[Capability, ...] = ()
    allow_unsafe: bool = False

    def __post_init__(self) -> None:
        known: dict[str, int] = {}
        for node in self.nodes:
            if node.name in known:
                raise ValueError(f"two nodes are named {node.name!r}; names must be unique.")
            for ref in node.inputs:
                self._check_ref(ref, known, f"node {node.name!r}")
            known[node.name] = len(node.output_shapes)
        for ref in (*self.inputs, *self.outputs):
            self._check_ref(ref, known, "the model")

    @staticmethod
    def _check_ref(ref: Ref, known: Mapping[str, int], reader: str) -> None:
        if ref.node not in known:
            raise ValueError(
                f"{reader} reads {ref.node!r}, which no earlier node is named: the graph is "
                "cyclic, out of order, or has a dangling reference."
            )
        if not 0 <= ref.index < known[ref.node]:
            raise ValueError(
                f"{reader} reads output {ref.index} of {ref.node!r}, which has {known[ref.node]}."
            )

    @functools.cached_property
    def inputs(self) -> tuple[Ref, ...]:
        """The model's input tensors, in Keras' order."""
        return tuple(leaves(self.input_structure))

    @functools.cached_property
    def outputs(self) -> tuple[Ref, ...]:
        """The model's output tensors, in Keras' order."""
        return tuple(leaves(self.output_structure))

    @functools.cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def _consumers(self) -> Mapping[str, tuple[Node, ...]]:
        found: dict[str, dict[str, Node]] = {node.name: {} for node in self.nodes}
        for node in self.nodes:
            for ref in node.inputs:
                found[ref.node][node.name] = node
        return {name: tuple(nodes.values()) for name, nodes in found.items()}

    def node(self, name: str) -> Node:
        """Look a node up.

        Raises:
            KeyError: if there is none of that name.
        """
        if name not in self._by_name:
            raise KeyError(f"no node is named {name!r} in {self.name!r}.")
        return self._by_name[name]

    def consumers(self, name: str) -> tuple[Node, ...]:
        """List the nodes that read any output of node `name`, in order."""
        return self._consumers[name]

    def calls(self, layer: str) -> tuple[Node, ...]:
        """All calls of a layer: several if it is shared."""
        return self._calls.get(layer, ())

    @functools.cached_property
    def _calls(self) -> Mapping[str, tuple[Node, ...]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            found.setdefault(node.layer, []).append(node)
        return {layer: tuple(nodes) for layer, nodes in found.items()}

    def shape(self, ref: Ref) -> Shape:
        """Look up the shape of a tensor, batch axis included."""
        return self.node(ref.node).output_shapes[ref.index]

    def dtype(self, ref: Ref) -> str:
        """Look up the data type of a tensor."""
        return self.node(ref.node).output_dtypes[ref.index]

    def replace(self, **changes: Any) -> Graph:
        """Copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def leaves(structure: Any) -> Iterable[Any]:
    """Yield the leaves of nested lists, tuples and dicts, dicts by sorted key as Keras does.

    Example:
        >>> list(leaves({"b": [1, 2], "a": (3,)}))
        [3, 1, 2]
    """
    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from leaves(structure[key])
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            yield from leaves(item)
    else:
        yield structure


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """Rebuild a nested structure with `function` applied to each leaf.

    Example:
        >>> map_leaves(lambda leaf: leaf + 1, {"a": (1, [2])})
        {'a': (2, [3])}
    """
    if isinstance(structure, Mapping):
        return {key: map_leaves(function, value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        items = [map_leaves(function, item) for item in structure]
        return tuple(items) if isinstance(structure, tuple) else items
    return function(structure)


def rename_refs(structure: Any, renamed: Mapping[Ref, Ref]) -> Any:
    """Let what reads a tensor read another one instead."""
    return map_leaves(
        lambda leaf: renamed.get(leaf, leaf) if isinstance(leaf, Ref) else leaf, structure
    )


def rename_inputs(node: Node, renamed: Mapping[Ref, Ref]) -> Node:
    """Copy of a node that reads other tensors."""
    if not any(ref in renamed for ref in node.inputs):
        return node
    return node.replace(
        args=rename_refs(node.args, renamed), kwargs=rename_refs(node.kwargs, renamed)
    )


def unique_name(wanted: str, taken: Container[str]) -> str:
    """`wanted`, or `wanted_1`, `wanted_2`, … if that is taken.

    Example:
        >>> unique_name("conv", {"conv", "conv_1"})
        'conv_2'
    """
    candidate, number = wanted, 0
    while candidate in taken:
        number += 1
        candidate = f"{wanted}_{number}"
    return candidate


def num_elements(shape: Shape) -> int:
    """Count the elements of one sample: the batch axis and unknown sizes count as 1.

    Example:
        >>> num_elements((None, 8, 8, 3))
        192
    """
    return math.prod(size or 1 for size in shape[1:])

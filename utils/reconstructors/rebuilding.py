"""The walk over a graph that writes a network down in the steps of a target."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.graph.ir import INPUT_LAYER, Graph, Node, Ref, Shape, leaves
from utils.reconstructors.target import Target
from utils.reconstructors.values import (
    Order,
    Value,
    block_rows,
    channels_first,
    moves_nothing,
    plain,
)

Table = Mapping[str, "Callable[[Rebuilding, Node], None]"]
FIRST_RANKS = (4, 5)  # tensors of so many axes are maps: their channels come first at the border


class RefusedError(Exception):
    """A node that a target cannot express; its text is the reason."""


def float_or(dtype: str) -> str:
    """Give the type that a tensor is computed in: all floats are float32.

    Example:
        >>> float_or("float16"), float_or("int32")
        ('float32', 'int32')
    """
    return "float32" if "float" in dtype else dtype


class Rebuilding:
    """One network on its way into a target.

    Args:
        graph: the network.
        target: writes it down.

    Attributes:
        graph: the network.
        target: writes it down.
    """

    def __init__(self, graph: Graph, target: Target) -> None:
        self.graph, self.target = graph, target
        self._values: dict[Ref, Value] = {}
        self._moved: dict[tuple[Ref, Order], Value] = {}

    # -- what functions of the table read -------------------------------------------------------

    def value(self, ref: Ref) -> Value:
        """Give a tensor as it is stored."""
        return self._values[ref]

    def floating(self, ref: Ref) -> Value:
        """Give a tensor as it is stored, integers as floats."""
        value = self._values[ref]
        if value.dtype == "float32":
            return value
        return dataclasses.replace(
            value, handle=self.target.cast(value.handle, "float32"), dtype="float32"
        )

    def ordered(self, ref: Ref, order: Order) -> Value:
        """Give a tensor in an order of its axes."""
        key = (ref, order)
        if key not in self._moved:
            self._moved[key] = self.moved(self._values[ref], order)
        return self._moved[key]

    def plain(self, ref: Ref) -> Value:
        """Give a tensor in the order of Keras."""
        return self.ordered(ref, plain(len(self.graph.shape(ref))))

    def first(self, ref: Ref, axis: int = -1) -> Value:
        """Give a tensor with its channels behind the batch."""
        value = self._values[ref]
        if value.block is None and value.order[:2] == (0, axis % value.rank):
            return value
        return self.ordered(ref, channels_first(value.rank, axis))

    def params(self, node: Node) -> Mapping[str, np.ndarray]:
        """Give a layer's arrays by name, floats of any size as float32."""
        arrays = self.graph.params.get(node.layer, {})
        return {
            name: array.astype(np.float32) if "float" in str(array.dtype) else array
            for name, array in arrays.items()
        }

    def is_shared(self, node: Node) -> bool:
        """Whether a layer is called several times: its arrays must be laid out alike."""
        return len(self.graph.calls(node.layer)) > 1

    # -- what they write ------------------------------------------------------------------------

    def put(self, ref: Ref, handle: Any, order: Order | None = None, block: Any = None) -> None:
        """Say what a tensor of the graph has become.

        Args:
            ref: the tensor.
            handle: the target's name for it.
            order: of its stored axes; that of Keras if not given.
            block: see `Value`.
        """
        shape = self.graph.shape(ref)
        self._values[ref] = Value(
            handle=handle,
            shape=shape,
            dtype=float_or(self.graph.dtype(ref)),
            order=plain(len(shape)) if order is None else order,
            block=block,
        )

    def put_like(self, node: Node, value: Value, handle: Any) -> None:
        """Say what the output of a node is that leaves the axes where they are."""
        self.put(Ref(node.name), handle, value.order, value.block)

    def each_value(self, node: Node, function: Callable[[Any], Any]) -> None:
        """Rebuild a node that treats each value of its input alone."""
        value = self.floating(node.inputs[0])
        self.put_like(node, value, function(value.handle))

    def moved(self, value: Value, order: Order) -> Value:
        """Bring a tensor into an order."""
        if value.block is not None:
            value = self._unflattened(value)
        if value.order == order:
            return value
        perm = tuple(value.order.index(axis) for axis in order)
        if moves_nothing(value.stored_shape, perm):
            sizes = open_sizes(tuple(value.shape[axis] for axis in order))
            handle = self.target.reshape(value.handle, sizes)
        else:
            handle = self.target.transpose(value.handle, perm)
        return dataclasses.replace(value, handle=handle, order=order)

    def _unflattened(self, value: Value) -> Value:
        """Bring the values of a flattened map into the order of Keras."""
        if value.block is None:
            return value
        back = np.argsort(block_rows(value.block))
        return dataclasses.replace(
            value, handle=self.target.take(value.handle, back, 1), block=None
        )

    # -- the walk -------------------------------------------------------------------------------

    def run(self, table: Table, refused: Mapping[str, str], *, last: bool) -> None:
        """Write the whole network down.

        Args:
            table: what to do for the class of a node.
            refused: why a class is not in it.
            last: maps have their channels last at the border, as in Keras; else first.

        Raises:
            InputError: naming every node that cannot be expressed.
        """
        for ref in self.graph.inputs:
            self._input(ref, last)
        failed: dict[str, str] = {}
        for node in self.graph.nodes:
            if node.op == INPUT_LAYER:
                continue
            try:
                self.call(node, table, refused)
            except RefusedError as refusal:
                failed[node.name] = f"{_class(node)}: {refusal}"
                self._stand_in(node)
        if failed:
            raise InputError(_refusal(failed))
        for number, ref in enumerate(leaves(self.graph.output_structure)):
            self._output(number, ref, last)

    def call(self, node: Node, table: Table, refused: Mapping[str, str]) -> None:
        """Write one node down.

        Raises:
            RefusedError: if it cannot be expressed.
        """
        if node.op not in table:
            raise RefusedError(refused.get(node.op, "it has no form there"))
        if isinstance(node.kwargs.get("mask"), Ref):
            raise RefusedError("it is called with a mask")
        self.target.begin(node.layer, node.name)
        table[node.op](self, node)

    def _stand_in(self, node: Node) -> None:
        """Give outputs to a refused node, so that what comes behind it is looked at as well."""
        for number, shape in enumerate(node.output_shapes):
            dtype = float_or(node.output_dtypes[number])
            name = f"{node.name}_{number}"
            self.put(Ref(node.name, number), self.target.input(name, shape, dtype))

    def _input(self, ref: Ref, last: bool) -> None:
        shape = self.graph.shape(ref)
        order = border(len(shape), last)
        stored = tuple(shape[axis] for axis in order)
        handle = self.target.input(ref.node, stored, float_or(self.graph.dtype(ref)))
        self.put(ref, handle, order)

    def _output(self, number: int, ref: Ref, last: bool) -> None:
        order = border(len(self.graph.shape(ref)), last)
        value = self.ordered(ref, order)
        names = [each.node for each in leaves(self.graph.output_structure)]
        taken = {each.node for each in self.graph.inputs}
        name = ref.node if names.count(ref.node) == 1 else f"{ref.node}_{number}"
        if name in taken:
            name = f"{name}_output"
        self.target.output(name, value.handle, value.stored_shape, value.dtype)


def border(rank: int, last: bool) -> Order:
    """Give the order of a network's inputs and outputs of so many axes."""
    return plain(rank) if last or rank not in FIRST_RANKS else channels_first(rank)


def open_sizes(shape: Shape) -> list[int | None]:
    """Write a shape for `Target.reshape`: the batch and one more size may be open.

    Raises:
        RefusedError: if more are.

    Example:
        >>> open_sizes((None, 4, 3)), open_sizes((None, None, 3))
        ([-1, 4, 3], [None, -1, 3])
    """
    unknown = [axis for axis, size in enumerate(shape) if size is None]
    if unknown in ([], [0]):
        return [-1 if size is None else size for size in shape]
    if len(unknown) == 2 and unknown[0] == 0:
        return [None, *(-1 if size is None else size for size in shape[1:])]
    if len(unknown) == 1:
        return [-1 if size is None else size for size in shape]
    raise RefusedError(f"it gives a tensor with several open sizes, {shape}")


def _class(node: Node) -> str:
    return node.op.rpartition(">")[2].rpartition(".")[2]


def _refusal(failed: Mapping[str, str]) -> str:
    listed = "; ".join(f"{name!r} ({reason})" for name, reason in failed.items())
    count = "a node" if len(failed) == 1 else f"{len(failed)} nodes"
    return (
        f"{count} cannot be rebuilt: {listed}. Nothing was written. Replace these layers, or "
        "choose another target: Keras and TensorFlow compute a graph as it is."
    )

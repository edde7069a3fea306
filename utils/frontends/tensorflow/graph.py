"""TensorFlow's GraphDef as plain data, functions written out at the place of their calls.

Nothing of it runs: nodes are read and named. Function calls are followed by their definitions in
the file, up to a number of nodes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import dtypes, op_def_registry, tensor_util

from utils.errors import InputError

MAX_FILE_BYTES = 2 << 30  # of one message, by its format
_MAX_NODES = 50_000  # calls of functions written out
_MAX_DEPTH = 50  # functions that call functions
_MAX_BYTES = 4 << 30  # of all constants, written out
_MAX_EXPANSION, _EXPANSION_FLOOR = 100, 256 << 20  # the same limits as those of archives
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})

Source = tuple[str, int]
"""An output of a node: its name and the output's number."""


@dataclasses.dataclass(frozen=True)
class TfNode:
    """One operation.

    Attributes:
        name: unique in the graph.
        op: TensorFlow's name of it.
        inputs: what it reads, control inputs left out.
        attrs: plain values by TensorFlow's names; types as NumPy's names.
        num_outputs: how many tensors it makes.
    """

    name: str
    op: str
    inputs: tuple[Source, ...]
    attrs: Mapping[str, Any]
    num_outputs: int = 1


@dataclasses.dataclass(frozen=True)
class TfGraph:
    """A network.

    Attributes:
        nodes: by name, each after those it reads.
        constants: arrays by the node that gives them.
        inputs: placeholders by the name under which a caller knows them.
        outputs: likewise.
    """

    nodes: Mapping[str, TfNode]
    constants: Mapping[str, np.ndarray]
    inputs: Mapping[str, Source]
    outputs: Mapping[str, Source]


class Allowance:
    """How much memory constants may take, by the size of their file."""

    def __init__(self, file_bytes: int) -> None:
        self._left = min(_MAX_BYTES, max(_EXPANSION_FLOOR, _MAX_EXPANSION * file_bytes))

    def take(self, shape: Sequence[int], itemsize: int, name: str) -> None:
        """Draw an array's bytes.

        Raises:
            InputError: if there are not as many left.
        """
        self._left -= math.prod(shape) * itemsize
        if self._left < 0:
            raise InputError(
                f"the constant {name!r} of shape {tuple(shape)} is too large for its file. Refused "
                "before it was read; do not trust it."
            )


def parse_graph(content: bytes) -> Any:
    """Read a GraphDef message.

    Args:
        content: the bytes of a `.pb` file.

    Returns:
        The message.

    Raises:
        InputError: if it is none, or has no nodes.
    """
    definition = graph_pb2.GraphDef()
    try:
        definition.ParseFromString(content)
    except Exception as error:  # the protocol buffers' own class
        raise InputError(
            "it is not a GraphDef. Give a frozen graph (.pb), or the folder of a SavedModel."
        ) from error
    if not definition.node or not all(node.op and node.name for node in definition.node):
        raise InputError("it holds no graph. Give a frozen graph (.pb) or a SavedModel's folder.")
    return definition


def flattened(
    definition: Any,
    outputs: Iterable[Source],
    allowance: Allowance,
    variables: Mapping[str, np.ndarray] | None = None,
) -> tuple[dict[str, TfNode], dict[str, np.ndarray], list[Source]]:
    """Write functions out and keep what outputs need, constants apart.

    Args:
        definition: a GraphDef.
        outputs: what is wanted.
        allowance: for the constants.
        variables: values by the names of the nodes that hold variables.

    Returns:
        The nodes in the order of computation, constants by name, the outputs as they are then
        called.

    Raises:
        InputError: if the graph is cyclic or names what it does not have.
    """
    walk = _Flattening(definition, allowance, variables or {})
    found = [walk.source(each) for each in outputs]
    return walk.nodes, walk.constants, found


class _Scope:
    """The nodes of a graph or of one call of a function; `known` maps outputs that are found."""

    def __init__(self, nodes: Iterable[Any], prefix: str, known: dict[Source, Source]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.prefix = prefix
        self.known = known


class _Flattening:
    """One pass over a GraphDef, from the outputs up; no recursion over its depth."""

    def __init__(
        self, definition: Any, allowance: Allowance, variables: Mapping[str, np.ndarray]
    ) -> None:
        self._functions = {
            function.signature.name: function for function in definition.library.function
        }
        self._allowance = allowance
        self._variables = variables
        self._num_nodes = 0
        self._main = _Scope(definition.node, "", {})
        self.nodes: dict[str, TfNode] = {}
        self.constants: dict[str, np.ndarray] = {}

    def source(self, wanted: Source) -> Source:
        """Compute one output of the main graph."""
        return self._resolve(self._main, wanted, depth=0)

    def _resolve(self, scope: _Scope, wanted: Source, depth: int) -> Source:
        """Add what an output needs; give its name and number in the flat graph."""
        waiting, opened = [wanted], set()
        while waiting:
            name, _ = current = waiting[-1]
            if current in scope.known:
                waiting.pop()
                continue
            node = scope.nodes.get(name)
            if node is None:
                raise InputError(f"something reads {name!r}, which the graph does not have.")
            inputs = self._inputs(scope, node)
            missing = [each for each in inputs if each not in scope.known]
            if missing:
                if name in opened:
                    raise InputError(f"the graph is cyclic at {name!r}: loops are not converted.")
                opened.add(name)
                waiting.extend(missing)
                continue
            self._add(scope, node, [scope.known[each] for each in inputs], depth)
            if current not in scope.known:
                raise InputError(f"something reads output {current[1]} of {name!r}: it has none.")
        return scope.known[wanted]

    def _inputs(self, scope: _Scope, node: Any) -> list[Source]:
        texts = [text for text in node.input if not text.startswith("^")]
        return [_parsed(text, scope, self._functions) for text in texts]

    def _add(self, scope: _Scope, node: Any, inputs: list[Source], depth: int) -> None:
        self._num_nodes += 1
        if self._num_nodes > _MAX_NODES:
            raise InputError(f"it has more than {_MAX_NODES:,} nodes, its functions written out.")
        name = scope.prefix + node.name
        if node.op in _CALLS or node.op in self._functions:
            found = self._call(node, name, inputs, depth + 1)
            scope.known.update({(node.name, i): each for i, each in enumerate(found)})
            return
        count = num_outputs(node, self._functions)
        scope.known.update({(node.name, i): (name, i) for i in range(count)})
        if node.op == "Const":
            self.constants[name] = self._constant(node)
        elif node.op == "ReadVariableOp" and inputs and inputs[0][0] in self._variables:
            self.constants[name] = self._variables[inputs[0][0]]
        elif node.op in ("VariableV2", "Variable") and name in self._variables:
            self.constants[name] = self._variables[name]
        else:
            self.nodes[name] = TfNode(name, node.op, tuple(inputs), _attrs(node), count)

    def _call(self, node: Any, name: str, inputs: list[Source], depth: int) -> list[Source]:
        """Write a function's nodes out; give its results."""
        called = node.attr["f"].func.name if node.op in _CALLS else node.op
        function = self._functions.get(called)
        if function is None or depth > _MAX_DEPTH:
            raise InputError(f"{node.name!r} calls {called!r}, which is not there or too deep.")
        arguments = [argument.name for argument in function.signature.input_arg]
        if len(arguments) != len(inputs):
            raise InputError(f"{node.name!r} calls {called!r} with {len(inputs)} arguments.")
        known = {(argument, 0): each for argument, each in zip(arguments, inputs, strict=True)}
        inner = _Scope(function.node_def, f"{name}/", known)
        results = [function.ret.get(each.name, "") for each in function.signature.output_arg]
        sources = [_parsed(text, inner, self._functions) for text in results]
        return [self._resolve(inner, each, depth) for each in sources]

    def _constant(self, node: Any) -> np.ndarray:
        proto = node.attr["value"].tensor
        shape = [dimension.size for dimension in proto.tensor_shape.dim]
        if any(size < 0 for size in shape):
            raise InputError(f"the constant {node.name!r} has the shape {shape}.")
        try:
            dtype = dtypes.as_dtype(proto.dtype)
            self._allowance.take(shape, max(dtype.size or 1, 1), node.name)
            return np.asarray(tensor_util.MakeNdarray(proto))
        except InputError:
            raise
        except Exception as error:  # whatever damaged content makes of it
            raise InputError(f"the constant {node.name!r} is damaged ({error}).") from error


def _parsed(text: str, scope: _Scope, functions: Mapping[str, Any]) -> Source:
    """Read `name`, `name:1` or, inside functions, `name:output:1`."""
    name, *rest = text.split(":")
    if not rest:
        return name, 0
    if not rest[-1].isdigit() or len(rest) > 2:
        raise InputError(f"the graph reads {text!r}, which names no output.")
    number = int(rest[-1])
    if len(rest) == 1:
        return name, number
    node = scope.nodes.get(name)
    if node is None:
        raise InputError(f"something reads {name!r}, which the graph does not have.")
    called = node.attr["f"].func.name if node.op in _CALLS else node.op
    if called in functions:
        names = [each.name for each in functions[called].signature.output_arg]
        if node.op in _CALLS:
            return name, number  # `output:1` counts all results
        return name, names.index(rest[0]) + number if rest[0] in names else number
    before = 0
    for argument in _definition(node).output_arg:
        if argument.name == rest[0]:
            return name, before + number
        before += _length(argument, node)
    raise InputError(f"the graph reads {text!r}, which {node.op} does not have.")


def _definition(node: Any) -> Any:
    definition = op_def_registry.get(node.op)
    if definition is None:
        raise InputError(
            f"{node.name!r} is a {node.op}, an operation that TensorFlow does not have. Export the "
            "network without it."
        )
    return definition


def _length(argument: Any, node: Any) -> int:
    """Count the tensors of one output argument."""
    if argument.number_attr:
        return int(node.attr[argument.number_attr].i)
    if argument.type_list_attr:
        return len(node.attr[argument.type_list_attr].list.type)
    return 1


def num_outputs(node: Any, functions: Mapping[str, Any]) -> int:
    """Count the outputs; an operation that TensorFlow does not have is taken to have one.

    Args:
        node: of a GraphDef.
        functions: those of the graph, which nodes call by name, too.

    Raises:
        InputError: if it says that it has more than any node.
    """
    if node.op in functions:
        return len(functions[node.op].signature.output_arg)
    definition = op_def_registry.get(node.op)
    if definition is None:
        return 1
    count = sum(_length(argument, node) for argument in definition.output_arg)
    if count > _MAX_NODES:
        raise InputError(f"{node.name!r} has {count:,} outputs.")
    return count


def _attrs(node: Any) -> dict[str, Any]:
    """Read the attributes; those at their defaults are often not in a file."""
    definition = op_def_registry.get(node.op)
    found = {}
    for attribute in () if definition is None else definition.attr:
        if attribute.HasField("default_value"):
            found[attribute.name] = _plain(attribute.default_value)
    return found | {name: _plain(value) for name, value in node.attr.items()}


def _plain(value: Any) -> Any:
    """Read an attribute.

    Example:
        >>> from tensorflow.core.framework import attr_value_pb2
        >>> _plain(attr_value_pb2.AttrValue(s=b"SAME"))
        'SAME'
    """
    kind = value.WhichOneof("value")
    if kind == "list":
        items = value.list
        return [_leaf(name, item) for name in ("s", "i", "f", "b", "type", "shape")
                for item in getattr(items, name)]  # fmt: skip
    return None if kind is None else _leaf(kind, getattr(value, kind))


def _leaf(kind: str, value: Any) -> Any:
    if kind == "s":
        return value.decode("utf-8", "replace")
    if kind == "type":
        try:
            return dtypes.as_dtype(value).name
        except TypeError:
            return f"type {value}"
    if kind == "shape":
        return None if value.unknown_rank else tuple(each.size for each in value.dim)
    if kind == "func":
        return value.name
    return value

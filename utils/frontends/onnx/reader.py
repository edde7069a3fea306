"""Reading ONNX files: a bounded look at what they declare, then the network they describe."""

from __future__ import annotations

import collections
import math
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, numpy_helper

from utils.archives import MAX_ARCHIVE_BYTES, damaged, refused
from utils.errors import InputError
from utils.frontends.building import build
from utils.frontends.convert import Converted
from utils.frontends.onnx.operators import OPERATORS
from utils.frontends.shapes import Shapes, with_shapes
from utils.frontends.source import SourceInput, SourceNetwork, SourceNode

_DOMAINS = ("", "ai.onnx")
_MAX_FILE_BYTES = 2 << 30  # of one protocol buffer
_MAX_NESTING = 16
_MAX_NODES = 100_000  # of all graphs, with functions written out; large networks have thousands
_MAX_CALLS = 100  # of functions inside functions
_TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float32",
    TensorProto.FLOAT16: "float32",
    TensorProto.BFLOAT16: "float32",
    TensorProto.INT64: "int32",
    TensorProto.INT32: "int32",
    TensorProto.INT16: "int32",
    TensorProto.INT8: "int32",
    TensorProto.UINT8: "uint8",
    TensorProto.BOOL: "bool",
}


def convert(path: str, input_shape: Shapes = None) -> Converted:
    """Build the Keras network of an ONNX file.

    Args:
        path: the `.onnx` file; weights in files beside it are read too.
        input_shape: sizes of the inputs in the file's order of axes, see
            `utils.frontends.shapes`; for axes the file leaves open.

    Returns:
        The network.

    Raises:
        InputError: if the file is missing, damaged or refused; a `ConversionError` if nodes cannot
            be converted.
    """
    return convert_network(read_network(path), input_shape)


def convert_network(network: SourceNetwork, input_shape: Shapes = None) -> Converted:
    """Build the Keras network of one read from ONNX."""
    return build(with_shapes(network, input_shape), OPERATORS)


def read_network(path: str) -> SourceNetwork:
    """Read an ONNX file.

    Args:
        path: the file.

    Returns:
        The network, functions and constant nodes dissolved.

    Raises:
        InputError: see `convert`.
    """
    target = pathlib.Path(path)
    model = _parse(target)
    graph = _Reading(target).graph(model.graph, 0)
    version = max(
        (item.version for item in model.opset_import if item.domain in _DOMAINS), default=1
    )
    first = graph.inputs[0].shape if graph.inputs else ()
    return SourceNetwork(
        name=target.stem or "network",
        inputs=graph.inputs,
        outputs=graph.outputs,
        nodes=_with_version(graph.nodes, version),
        constants=graph.constants,
        version=version,
        batch=first[0] if first else None,
    )


def _with_version(nodes: Iterable[SourceNode], version: int) -> tuple[SourceNode, ...]:
    """Nodes carry the version that defines them: their functions see nothing else."""
    return tuple(
        SourceNode(
            node.name,
            node.op,
            node.inputs,
            node.outputs,
            {
                **{key: _branch_with_version(value, version) for key, value in node.attrs.items()},
                "opset": version,
            },
        )
        for node in nodes
    )


def _branch_with_version(value: Any, version: int) -> Any:
    if not isinstance(value, SourceNetwork):
        return value
    return SourceNetwork(
        value.name,
        value.inputs,
        value.outputs,
        _with_version(value.nodes, version),
        value.constants,
        version,
    )


def _parse(target: pathlib.Path) -> onnx.ModelProto:
    if not target.is_file():
        raise InputError(f"{target}: no such file. Expected an .onnx file.")
    size = target.stat().st_size
    if size > _MAX_FILE_BYTES:
        raise InputError(f"{target}: has {size:,} bytes, more than {_MAX_FILE_BYTES:,}.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(target.read_bytes())
    except DecodeError as error:
        raise damaged(target, "is truncated or no .onnx file") from error
    if not model.graph.node or not model.graph.output:
        raise damaged(target, "describes no network")
    if _written_out(model) > _MAX_NODES:
        raise refused(target, f"it has more than {_MAX_NODES:,} nodes, its functions written out")
    if model.functions:
        from onnx import inliner

        try:
            model = inliner.inline_local_functions(model)
        except (RuntimeError, ValueError) as error:
            raise damaged(target, f"its functions cannot be dissolved ({error})") from error
    return model


def _written_out(model: onnx.ModelProto) -> int:
    """Count the nodes of a network whose functions are written out, without writing them out.

    Functions that call themselves count as more than is allowed.
    """
    bodies = {(each.domain, each.name, each.overload): each.node for each in model.functions}
    counts: dict[tuple[str, str, str], int] = {}

    def count(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        total = 0
        for node in nodes if depth < _MAX_CALLS else ():
            key = node.domain, node.op_type, node.overload
            if key in bodies and key not in counts:
                counts[key] = _MAX_NODES + 1  # while it is open
                counts[key] = count(bodies[key], depth + 1)
            total += counts.get(key, 1)
            inner = (item for item in node.attribute if item.type == AttributeProto.GRAPH)
            total += sum(count(item.g.node, depth + 1) for item in inner)
        return total if depth < _MAX_CALLS else _MAX_NODES + 1

    return count(model.graph.node, 0)


class _Reading:
    """One pass over a file."""

    def __init__(self, target: pathlib.Path) -> None:
        self.target = target
        self.names: set[str] = set()
        self.repeats: collections.Counter[str] = collections.Counter()
        self.total = 0  # bytes of all arrays

    def graph(self, graph: onnx.GraphProto, depth: int) -> SourceNetwork:
        """Read a graph.

        Args:
            graph: of the file, or of a node's branch.
            depth: number of the graphs around it.
        """
        if depth > _MAX_NESTING:
            raise refused(self.target, f"nests graphs more than {_MAX_NESTING} deep")
        if graph.sparse_initializer:
            raise InputError(f"{self.target}: sparse weights are not read. Export them dense.")
        constants = {item.name: self.array(item, item.name) for item in graph.initializer}
        nodes = []
        for proto in graph.node:
            value = self.constant(proto)
            if value is not None:
                constants[proto.output[0]] = value
            else:
                nodes.append(self.node(proto, depth))
        given = [item for item in graph.input if item.name not in constants]
        return SourceNetwork(
            name=graph.name or "branch",
            inputs=tuple(self.input(item) for item in given),
            outputs=tuple(item.name for item in graph.output),
            nodes=tuple(nodes),
            constants=constants,
        )

    def input(self, item: onnx.ValueInfoProto) -> SourceInput:
        """Read the name, shape and type of an input."""
        kind = item.type.WhichOneof("value")
        tensor = item.type.tensor_type
        if kind != "tensor_type" or tensor.elem_type not in _TYPES:
            raise InputError(
                f"{self.target}: its input {item.name!r} is no tensor of numbers; such networks "
                "cannot be converted."
            )
        shape = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim)
        return SourceInput(item.name, shape, _TYPES[tensor.elem_type])

    def node(self, proto: onnx.NodeProto, depth: int) -> SourceNode:
        """Read a node; what the graphs inside it read from outside counts as its inputs."""
        attrs: dict[str, Any] = {}
        outside: dict[str, None] = {}
        for item in proto.attribute:
            if item.type == AttributeProto.GRAPH:
                inner = self.graph(item.g, depth + 1)
                captured = _captured(inner)
                attrs[item.name] = _with_inputs(inner, captured)
                outside.update(dict.fromkeys(captured))
            else:
                attrs[item.name] = self.attribute(item, proto)
        own = set(proto.input)
        inputs = (*proto.input, *(name for name in outside if name not in own))
        domain = "" if proto.domain in _DOMAINS else f"{proto.domain}."
        return SourceNode(
            name=self.unique(proto),
            op=f"{domain}{proto.op_type}",
            inputs=inputs,
            outputs=tuple(proto.output),
            attrs=attrs,
        )

    def unique(self, proto: onnx.NodeProto) -> str:
        """A node's name, or its output's where it has none or another node has it too."""
        output = proto.output[0] if proto.output else proto.op_type
        name = proto.name or output
        if name in self.names:
            name = output
        while name in self.names:  # counted on, so that many of one name take no longer
            self.repeats[output] += 1
            name = f"{output}_{self.repeats[output]}"
        self.names.add(name)
        return name

    def constant(self, proto: onnx.NodeProto) -> np.ndarray | None:
        """The array of a `Constant` node; None for any other node."""
        if proto.op_type != "Constant" or proto.domain not in _DOMAINS:
            return None
        if len(proto.attribute) != 1 or len(proto.output) != 1:
            raise damaged(self.target, f"a Constant node {proto.name!r} has no value")
        item = proto.attribute[0]
        value = self.attribute(item, proto)
        if isinstance(value, (str, list)) and item.type in (
            AttributeProto.STRING,
            AttributeProto.STRINGS,
        ):
            return np.asarray(value)
        dtype = {"value_int": np.int64, "value_ints": np.int64}.get(item.name)
        kinds = (AttributeProto.FLOAT, AttributeProto.FLOATS)
        return np.asarray(value, dtype=np.float32 if item.type in kinds else dtype)

    def attribute(self, item: AttributeProto, proto: onnx.NodeProto) -> Any:
        """Read an attribute that is no graph."""
        if item.type == AttributeProto.TENSOR:
            return self.array(item.t, f"of node {proto.name!r}")
        if item.type == AttributeProto.STRING:
            return item.s.decode("utf-8", "replace")
        if item.type == AttributeProto.STRINGS:
            return [text.decode("utf-8", "replace") for text in item.strings]
        simple = {
            AttributeProto.FLOAT: item.f,
            AttributeProto.INT: item.i,
            AttributeProto.FLOATS: list(item.floats),
            AttributeProto.INTS: list(item.ints),
        }
        if item.type not in simple:
            raise InputError(
                f"{self.target}: node {proto.name!r} ({proto.op_type}) has an attribute "
                f"{item.name!r} of a kind that is not read."
            )
        return simple[item.type]

    def array(self, tensor: TensorProto, name: str) -> np.ndarray:
        """Read an array after comparing what it declares with what is there.

        Raises:
            InputError: if they differ.
        """
        try:
            dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(self.target, f"array {name!r} has an unknown type") from error
        if dtype.hasobject or tensor.data_type == TensorProto.STRING:
            raise InputError(f"{self.target}: array {name!r} holds text, which is not read.")
        if any(size < 0 for size in tensor.dims):
            raise damaged(self.target, f"array {name!r} has an impossible shape")
        count = math.prod(tensor.dims)
        self.total += count * dtype.itemsize
        if self.total > MAX_ARCHIVE_BYTES:
            raise refused(self.target, f"its arrays have more than {MAX_ARCHIVE_BYTES:,} bytes")
        if tensor.data_location == TensorProto.EXTERNAL:
            return self.external(tensor, name, dtype, count)
        try:
            self.check_stored(tensor, name, count)
            array = numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise damaged(self.target, f"array {name!r} cannot be read ({error})") from error
        return _plain(array)

    def check_stored(self, tensor: TensorProto, name: str, count: int) -> None:
        """Compare the number of elements with the bytes or numbers that are stored."""
        bits = _bits(tensor.data_type)
        if tensor.HasField("raw_data"):
            stored, declared = len(tensor.raw_data), -(-count * bits // 8)
            what = "bytes"
        else:
            fields = (tensor.float_data, tensor.int32_data, tensor.int64_data)
            stored = max(map(len, (*fields, tensor.double_data, tensor.uint64_data)))
            declared = -(-count * bits // 8) if bits < 8 else count
            what = "elements"
        if stored != declared:
            raise damaged(
                self.target,
                f"array {name!r} declares {declared:,} {what} of data, {stored:,} are there",
            )

    def external(
        self, tensor: TensorProto, name: str, dtype: np.dtype[Any], count: int
    ) -> np.ndarray:
        """Read an array from a file beside the network's, never from elsewhere."""
        facts = {item.key: item.value for item in tensor.external_data}
        location = facts.get("location", "")
        folder = self.target.parent.resolve()
        beside = folder / location
        if not location or beside.resolve().parent != folder or os.path.islink(beside):
            raise refused(self.target, f"array {name!r} points to {location!r}")
        if not beside.is_file():
            raise InputError(
                f"{self.target}: its weights lie in {location!r}, which is not beside it. Copy "
                "that file too."
            )
        offset, size = _whole(facts.get("offset", "0")), beside.stat().st_size
        wanted = count * dtype.itemsize
        declared = _whole(facts.get("length", str(wanted)))
        if declared != wanted or _bits(tensor.data_type) < 8 or not 0 <= offset <= size - wanted:
            raise damaged(
                self.target,
                f"array {name!r} needs {wanted:,} bytes of {location!r} at {offset:,}; that file "
                f"has {size:,}",
            )
        with beside.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(wanted)
        return _plain(np.frombuffer(data, dtype).reshape(tuple(tensor.dims)))


def _whole(text: str) -> int:
    """A number of bytes; -1 for what is none."""
    return int(text) if text.isdecimal() else -1


def _bits(data_type: int) -> int:
    if data_type in (TensorProto.INT4, TensorProto.UINT4):
        return 4
    return 8 * np.dtype(onnx.helper.tensor_dtype_to_np_dtype(data_type)).itemsize


def _plain(array: np.ndarray) -> np.ndarray:
    """Floating point of other widths becomes float32."""
    if array.dtype.kind in "fV" or array.dtype.name in ("bfloat16", "float16"):
        return array.astype(np.float32)
    return array


def _captured(network: SourceNetwork) -> list[str]:
    """Tensors that a graph inside a node reads from outside."""
    made = {name for node in network.nodes for name in node.outputs} | set(network.constants)
    read = [name for node in network.nodes for name in node.inputs] + list(network.outputs)
    return list(dict.fromkeys(name for name in read if name and name not in made))


def _with_inputs(network: SourceNetwork, captured: Iterable[str]) -> SourceNetwork:
    inputs = tuple(SourceInput(name, ()) for name in captured)
    return SourceNetwork(network.name, inputs, network.outputs, network.nodes, network.constants)

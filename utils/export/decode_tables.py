"""An int8 `.tflite` file whose weights are few values, as indices and tables for `DECODE`.

TensorFlow Lite Micro has an operator, `TFLM_DECODE`, that unpacks a tensor in front of the operator
that reads it. A weight tensor then consists of two constants:

- the indices, `width` bits each (1 to 7), in the tensor's order, the most significant bit first;
- 16 bytes and the tables behind them:

| byte | is |
|:--|:--|
| 0 | 0: look-up tables |
| 1 | 1: version of these bytes |
| 4 | 1: version of the look-up tables |
| 5 | bits 7 to 4: the axis whose every index has a table, 15 for one table; bits 2 to 0: `width` |
| 6 | values in a table |
| others | 0 |

The runtime looks the table of a value up by the value's place on that axis: a file with one table
for a tensor whose channels have values of their own decodes, silently, into others. So tables
go along the axis along which the tensor was quantized. A decoded tensor lives until the next
operator only: where several operators read one, each gets a `DECODE` of its own.

Reference: "TFLM DECODE Operator Design", 2025, and the package `tflite-micro`, whose interpreter
runs such files (`utils.export.tflm`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from utils.export.flatbuffer import read_model, write_model
from utils.quantization.bit_packing import pack_bits, width_for

CUSTOM_CODE = b"TFLM_DECODE"
MAX_WIDTH = 7
ONE_TABLE = 15
# What operators read as weights: position among their inputs. TFLM reads others while it is set up.
_WEIGHTS = {
    schema.BuiltinOperator.CONV_2D: 1,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 1,
    schema.BuiltinOperator.FULLY_CONNECTED: 1,
    schema.BuiltinOperator.TRANSPOSE_CONV: 1,
}
_HEAD_BYTES = 16
#: Bytes that a decoded tensor costs besides its own: two tensors and an operator.
_OVERHEAD_BYTES = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodedTensor:
    """A weight tensor that is stored as indices and tables.

    Attributes:
        name: in the file.
        weights: its entries.
        width: bits of an index.
        tables: 1, or one for each channel.
        values: in a table.
    """

    name: str
    weights: int
    width: int
    tables: int
    values: int

    @property
    def bits(self) -> int:
        """Bits of indices and tables."""
        return self.weights * self.width + 8 * self.tables * self.values


def with_decode(content: bytes) -> tuple[bytes, tuple[DecodedTensor, ...]]:
    """Store the weights of a file as indices where that takes fewer bytes.

    Args:
        content: an int8 `.tflite` file that an interpreter has accepted.

    Returns:
        The file with `DECODE` operators, and the tensors that they decode; the file as it was
        where there are none. Tensors inside, whose names would take flash and are not read there,
        have none.
    """
    model = read_model(content)
    rewriting = _Rewriting(model)
    found = [rewriting.rewrite(subgraph) for subgraph in model.subgraphs]
    decoded = tuple(tensor for tensors in found for tensor in tensors)
    if not decoded:
        return content, ()
    for subgraph in model.subgraphs:
        _leave_out_names(subgraph)
    return write_model(model), decoded


def _leave_out_names(subgraph: Any) -> None:
    """Keep the names at the border, which whoever uses the file looks for."""
    border = {int(number) for number in (*subgraph.inputs, *subgraph.outputs)}
    for number, tensor in enumerate(subgraph.tensors):
        if number not in border:
            tensor.name = b""


@dataclasses.dataclass(frozen=True)
class _Encoded:
    """A tensor's two constants."""

    indices: bytes
    tables: bytes
    tensor: DecodedTensor

    @property
    def num_bytes(self) -> int:
        return len(self.indices) + len(self.tables) + _OVERHEAD_BYTES


class _Rewriting:
    """Changes a file's objects in place; tensors keep their numbers, new ones are added behind."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._added: dict[bytes, int] = {}  # constants by content, so that equal ones are shared
        self._opcode: int | None = None

    def rewrite(self, subgraph: Any) -> list[DecodedTensor]:
        """Rewrite one subgraph."""
        encoded = dict(self._encoded(subgraph))
        operators, ancillary = [], {}
        for operator in subgraph.operators:
            position = self._weight_position(operator)
            number = None if position is None else int(operator.inputs[position])
            if number in encoded:
                if number not in ancillary:
                    ancillary[number] = self._constant(subgraph, encoded[number].tables, number)
                output = self._decoded(subgraph, number)
                operators.append(self._operator([number, ancillary[number]], output))
                operator.inputs = np.array(operator.inputs, np.int32)
                operator.inputs[position] = output
            operators.append(operator)
        subgraph.operators = operators
        for number, found in encoded.items():
            tensor = subgraph.tensors[number]
            tensor.shape = np.array([len(found.indices)], np.int32)
            tensor.shapeSignature, tensor.quantization = None, None
            tensor.type = schema.TensorType.UINT8
            self._model.buffers[tensor.buffer].data = np.frombuffer(found.indices, np.uint8)
        return [found.tensor for found in encoded.values()]

    def _encoded(self, subgraph: Any) -> Iterator[tuple[int, _Encoded]]:
        """Encode the weights that nothing but operators with weights reads."""
        readers: dict[int, list[bool]] = {}
        for operator in subgraph.operators:
            position = self._weight_position(operator)
            for place, number in enumerate(operator.inputs):
                readers.setdefault(int(number), []).append(place == position)
        for number in subgraph.outputs:
            readers.setdefault(int(number), []).append(False)
        for number, as_weights in readers.items():
            tensor = subgraph.tensors[number] if number >= 0 else None
            if tensor is None or not all(as_weights) or self._is_shared(tensor):
                continue
            found = self._encode(tensor)
            if found is not None and found.num_bytes < found.tensor.weights:
                yield number, found

    def _weight_position(self, operator: Any) -> int | None:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return _WEIGHTS.get(max(code.builtinCode, code.deprecatedBuiltinCode))

    def _is_shared(self, tensor: Any) -> bool:
        """Whether other tensors have the same constant: it would stay in the file."""
        tensors = [each for subgraph in self._model.subgraphs for each in subgraph.tensors]
        return sum(each.buffer == tensor.buffer for each in tensors) > 1

    def _encode(self, tensor: Any) -> _Encoded | None:
        data = self._model.buffers[tensor.buffer].data
        if tensor.type != schema.TensorType.INT8 or data is None or len(tensor.shape) < 2:
            return None
        values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.int8)
        return encode_weights(values.reshape(tensor.shape), _axis(tensor), tensor.name.decode())

    def _constant(self, subgraph: Any, content: bytes, number: int) -> int:
        """Add a tensor of bytes."""
        tensor = schema.TensorT()
        tensor.name = b""
        tensor.shape = np.array([len(content)], np.int32)
        tensor.type = schema.TensorType.UINT8
        tensor.buffer = self._buffer(content)
        tensor.hasRank = True
        subgraph.tensors.append(tensor)
        return len(subgraph.tensors) - 1

    def _decoded(self, subgraph: Any, number: int) -> int:
        """Add the tensor that `DECODE` makes: like the one that was stored, without content."""
        original, tensor = subgraph.tensors[number], schema.TensorT()
        vars(tensor).update(vars(original))
        tensor.name, tensor.buffer = b"", 0  # buffer 0 is empty in every file
        subgraph.tensors.append(tensor)
        return len(subgraph.tensors) - 1

    def _buffer(self, content: bytes) -> int:
        if content not in self._added:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(content, np.uint8)
            self._model.buffers.append(buffer)
            self._added[content] = len(self._model.buffers) - 1
        return self._added[content]

    def _operator(self, inputs: list[int], output: int) -> Any:
        if self._opcode is None:
            code = schema.OperatorCodeT()
            code.builtinCode = schema.BuiltinOperator.CUSTOM
            code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
            code.customCode, code.version = CUSTOM_CODE, 1
            self._model.operatorCodes.append(code)
            self._opcode = len(self._model.operatorCodes) - 1
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([output], np.int32)
        return operator


def encode_weights(values: np.ndarray, axis: int | None, name: str = "") -> _Encoded | None:
    """Encode a tensor.

    Args:
        values: int8, its weights.
        axis: whose every index gets a table: 0 or the last one; None for one table.
        name: of the tensor.

    Returns:
        Its constants; None where a table would have more values than 7 bits can number, or the
        runtime has no tables along that axis.
    """
    if axis not in (None, 0, values.ndim - 1):
        return None
    rows = [values.ravel()] if axis is None else np.moveaxis(values, axis, 0)
    tables = [np.unique(row) for row in rows]
    longest = max(table.size for table in tables)
    if longest > 1 << MAX_WIDTH:
        return None
    width = width_for(longest)
    stored = np.zeros((len(tables), longest), np.int8)
    for row, table in zip(stored, tables, strict=True):
        row[: table.size] = table
    indices = [np.searchsorted(table, row) for table, row in zip(tables, rows, strict=True)]
    ordered = indices[0] if axis is None else np.moveaxis(np.stack(indices), 0, axis)
    head = bytearray(_HEAD_BYTES)
    head[1] = head[4] = 1
    head[5] = (ONE_TABLE if axis is None else axis) << 4 | width
    head[6] = longest
    return _Encoded(
        indices=pack_bits(ordered, width, "big"),
        tables=bytes(head) + stored.tobytes(),
        tensor=DecodedTensor(
            name=name, weights=values.size, width=width, tables=len(tables), values=longest
        ),
    )


def _axis(tensor: Any) -> int | None:
    """Tell along which axis a tensor has scales."""
    quantization = tensor.quantization
    scales = None if quantization is None else quantization.scale
    return None if scales is None or len(scales) < 2 else int(quantization.quantizedDimension)

"""What a `.tflite` file holds, read without trusting it: operators with options, constants.

The schema's own classes follow offsets wherever they point. Offsets cannot leave the buffer (reads
outside raise), but a small file can point to one place again and again: every count is therefore
drawn from an allowance that is as large as the file.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from utils.errors import InputError
from utils.export.flatbuffer import NUMBERED, is_tflite, natural_key
from utils.frontends.tflite.sparse import Layout, Level, densify

_MAX_BYTES = 4 << 30  # of constants, written out
_MAX_EXPANSION, _EXPANSION_FLOOR = 100, 256 << 20  # the same limits as those of archives
_MAX_RANK = 8

_OPERATORS = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_TYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}
_NUMBERS: dict[str, Any] = {
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
    "bool": np.bool_,
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


@dataclasses.dataclass(frozen=True)
class FileTensor:
    """One tensor.

    Attributes:
        name: as in the file.
        shape: its sizes, batch axis included.
        dtype: e.g. "float32".
        values: of a constant, sparse ones written out; None for what is computed.
        scale: quantization steps; empty without quantization.
        zero_point: integers that mean 0.0, as many.
        quantized_axis: the axis with a step each.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: np.ndarray | None
    scale: np.ndarray
    zero_point: np.ndarray
    quantized_axis: int = 0


@dataclasses.dataclass(frozen=True)
class FileOperator:
    """One operator.

    Attributes:
        name: of the schema, e.g. "CONV_2D"; `custom NAME` for one that is not in it.
        options: its settings under the schema's names, e.g. `strideW`.
        inputs: tensor numbers; -1 for one that is left out.
        outputs: tensor numbers.
    """

    name: str
    options: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class TfliteFile:
    """The main subgraph.

    Attributes:
        tensors: by number.
        operators: in the order of execution.
        inputs: tensor numbers by name, in the order of the interpreter's.
        outputs: likewise.
    """

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


def parse(content: bytes) -> TfliteFile:
    """Read a file.

    Args:
        content: its bytes, from anywhere.

    Returns:
        What it holds. Constants are views of `content` where they can be.

    Raises:
        InputError: if it is no `.tflite` file, is damaged, or says of itself what cannot be true.
    """
    if not is_tflite(content):
        raise InputError("it is not a .tflite file (the mark TFL3 is missing).")
    try:
        return _Reading(content).file()
    except InputError:
        raise
    except Exception as error:  # whatever the schema's classes make of damaged bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"it is damaged ({reason}). Copy or create the file anew.") from error


class _Reading:
    """One pass over a file; `_take` bounds it."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._left = len(content)
        self._bytes_left = min(_MAX_BYTES, max(_EXPANSION_FLOOR, _MAX_EXPANSION * len(content)))
        self._model = schema.Model.GetRootAs(content, 0)

    def _take(self, count: int) -> int:
        """Draw from the allowance."""
        self._left -= count
        if self._left < 0:
            raise InputError(
                "it lists more than its size allows. Refused before it was read; do not trust it."
            )
        return count

    def _all(self, length: int, get: Callable[[int], Any]) -> Iterable[Any]:
        return map(get, range(self._take(length)))

    def _numbers(self, length: int, get: Callable[[], Any]) -> tuple[int, ...]:
        return tuple(map(int, get())) if self._take(length) else ()

    def _text(self, raw: bytes | None) -> str:
        text = raw or b""
        self._take(len(text))
        return text.decode("utf-8", "replace")

    def file(self) -> TfliteFile:
        """Read the main subgraph."""
        if not self._model.SubgraphsLength():
            raise InputError("it holds no network.")
        main = self._model.Subgraphs(0)
        tensors = tuple(self._all(main.TensorsLength(), lambda i: self._tensor(main.Tensors(i))))
        operators = tuple(
            self._all(main.OperatorsLength(), lambda i: self._operator(main.Operators(i)))
        )
        orders = (
            self._numbers(main.InputsLength(), main.InputsAsNumpy),
            self._numbers(main.OutputsLength(), main.OutputsAsNumpy),
        )
        named = self._signature() or tuple(
            {tensors[i].name or f"tensor_{i}": i for i in order} for order in orders
        )
        inputs, outputs = named
        used = [i for operator in operators for i in (*operator.inputs, *operator.outputs)]
        used += [*inputs.values(), *outputs.values()]
        if not all(-1 <= i < len(tensors) for i in used):
            raise InputError(f"it names tensors beyond the {len(tensors)} it has.")
        position = {index: place for place, index in enumerate(orders[0])}
        inputs = dict(sorted(inputs.items(), key=lambda item: position.get(item[1], 0)))
        return TfliteFile(tensors, operators, inputs, outputs)

    def _signature(self) -> tuple[dict[str, int], dict[str, int]] | None:
        """Name inputs and outputs as the first signature does, if there is one."""
        if not self._model.SignatureDefsLength():
            return None
        signature = self._model.SignatureDefs(0)
        entry = lambda each: (self._text(each.Name()), int(each.TensorIndex()))  # noqa: E731
        inputs = dict(map(entry, self._all(signature.InputsLength(), signature.Inputs)))
        outputs = dict(map(entry, self._all(signature.OutputsLength(), signature.Outputs)))
        if all(map(NUMBERED.fullmatch, outputs)):  # the converter's names, in no order
            outputs = dict(sorted(outputs.items(), key=lambda item: natural_key(item[0])))
        return inputs, outputs

    # --- operators ----------------------------------------------------------------------------

    def _operator(self, operator: Any) -> FileOperator:
        if operator.OpcodeIndex() >= self._model.OperatorCodesLength():
            raise InputError("an operator has no code.")
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        # Codes above 127 are in the second field only; the deprecated one is capped there.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _OPERATORS.get(number, f"operator {number}")
        if number == schema.BuiltinOperator.CUSTOM:
            name = f"custom {self._text(code.CustomCode())}"
        return FileOperator(
            name=name,
            options=self._options(operator),
            inputs=self._numbers(operator.InputsLength(), operator.InputsAsNumpy),
            outputs=self._numbers(operator.OutputsLength(), operator.OutputsAsNumpy),
        )

    @staticmethod
    def _options(operator: Any) -> dict[str, Any]:
        table = operator.BuiltinOptions()
        options = (
            None
            if table is None
            else schema.BuiltinOptionsCreator(operator.BuiltinOptionsType(), table)
        )
        return {} if options is None else dict(vars(options))

    # --- tensors ------------------------------------------------------------------------------

    def _tensor(self, tensor: Any) -> FileTensor:
        shape = self._numbers(tensor.ShapeLength(), tensor.ShapeAsNumpy)
        name = self._text(tensor.Name())
        if len(shape) > _MAX_RANK or any(size < 0 for size in shape):
            raise InputError(f"the tensor {name!r} has the shape {shape}.")
        dtype = _TYPES.get(tensor.Type(), f"type {tensor.Type()}")
        scale, zero_point, axis = self._quantization(tensor.Quantization())
        try:
            values = self._values(tensor, shape, dtype)
        except InputError as error:
            raise InputError(f"the constant {name!r}: {error}") from error
        return FileTensor(name, shape, dtype, values, scale, zero_point, axis)

    def _quantization(self, quantization: Any) -> tuple[np.ndarray, np.ndarray, int]:
        if quantization is None or not self._take(quantization.ScaleLength()):
            return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
        scale = quantization.ScaleAsNumpy()
        zero_point = np.zeros(len(scale), np.int64)
        if self._take(quantization.ZeroPointLength()):
            zero_point = quantization.ZeroPointAsNumpy()
        if len(zero_point) != len(scale):
            raise InputError("a tensor has as many zero points as it has not scales.")
        return scale, zero_point, int(quantization.QuantizedDimension())

    def _values(self, tensor: Any, shape: tuple[int, ...], dtype: str) -> np.ndarray | None:
        raw = self._buffer(tensor.Buffer())
        if raw is None or dtype not in _NUMBERS:
            return None
        number = np.dtype(_NUMBERS[dtype])
        size = math.prod(shape) * number.itemsize
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise InputError("there is no room for it. Refused before it was read.")
        sparsity = tensor.Sparsity()
        if sparsity is None and raw.size != size:
            raise InputError(f"{raw.size:,} bytes are stored for the shape {shape}, {dtype}.")
        if raw.size % number.itemsize:
            raise InputError(f"{raw.size:,} bytes are no whole numbers of {dtype}.")
        stored = raw.view(number)
        if sparsity is None:
            return stored.reshape(shape)
        return densify(stored, shape, self._layout(sparsity))

    def _buffer(self, number: int) -> np.ndarray | None:
        """Find the bytes of a constant; None for a tensor that is computed."""
        if number >= self._model.BuffersLength():
            raise InputError("it lies in no buffer.")
        buffer = self._model.Buffers(number)
        if buffer.Offset() > 1:  # in files above 2 GB the constants lie behind the rest
            start, size = buffer.Offset(), buffer.Size()
            if start + size > len(self._content):
                raise InputError("it lies beyond the end of the file.")
            return np.frombuffer(self._content, np.uint8, size, start)
        if not buffer.DataLength():
            return None
        data: np.ndarray = buffer.DataAsNumpy()
        return data

    def _layout(self, sparsity: Any) -> Layout:
        order = self._numbers(sparsity.TraversalOrderLength(), sparsity.TraversalOrderAsNumpy)
        blocks = self._numbers(sparsity.BlockMapLength(), sparsity.BlockMapAsNumpy)
        levels = self._all(sparsity.DimMetadataLength(), sparsity.DimMetadata)
        return Layout(order, blocks, [_level(level) for level in levels])


def _level(stored: Any) -> Level:
    if stored.Format() == schema.DimensionType.DENSE:
        return Level(size=stored.DenseSize())
    found = schema.DimensionMetadataT.InitFromObj(stored)
    vectors = [found.arraySegments, found.arrayIndices]
    if any(vector is None or vector.values is None for vector in vectors):
        raise InputError("a compressed level lacks its segments or indices.")
    segments, indices = (np.asarray(vector.values) for vector in vectors)
    if segments.ndim != 1 or indices.ndim != 1 or not segments.size:
        raise InputError("a compressed level lacks its segments or indices.")
    return Level(0, segments, indices)

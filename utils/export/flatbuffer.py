"""What a `.tflite` file contains: its operators, tensors and signature.

The interpreter runs a file but does not tell, in any public way, which operator reads which tensor.
The file itself does; its schema comes with `ai_edge_litert`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OPERATORS = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_TYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}
#: A range this much smaller than the usual one of its file holds nothing: a dead activation.
_DEAD = 1e-6
#: What a dead activation's range becomes, as part of the usual one.
_FLOOR = 1 / 256

_ALIGNMENT = 16  # of constants in a file, as the schema says and Python's writer does not know

#: What the converter calls outputs.
NUMBERED = re.compile(r"output_(\d+)")

#: Operators that only move between number formats.
FORMAT_OPERATORS = frozenset({"QUANTIZE", "DEQUANTIZE"})


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor of the file.

    Attributes:
        name: the name that the converter gave it.
        shape: its sizes; empty for a single number.
        dtype: e.g. "float32", "int8".
        constant: whether its values are stored in the file.
        scale: quantization steps, one or one per channel; empty without quantization.
        zero_point: integers that mean 0.0, as many as scales.
        sparse: whether its values are stored without the zeros.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool
    scale: np.ndarray
    zero_point: np.ndarray
    sparse: bool = False


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator; `inputs` and `outputs` are tensor indices."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class FileGraph:
    """The main subgraph of a `.tflite` file.

    Attributes:
        tensors: by index.
        operators: in the order of execution.
        inputs: tensor index by the signature's input name.
        outputs: tensor index by the signature's output name, in the order of the Keras outputs.
        input_order: tensor indices in the order in which an interpreter numbers its inputs.
        output_order: likewise of the outputs.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: dict[str, int]
    outputs: dict[str, int]
    input_order: tuple[int, ...] = ()
    output_order: tuple[int, ...] = ()

    def kind(self) -> str:
        """Tell which kind of file it is, see `utils.export.config.KINDS`."""
        if not any(tensor.constant and tensor.dtype == "int8" for tensor in self.tensors):
            return "sparse" if any(tensor.sparse for tensor in self.tensors) else "float32"
        computed = {index for operator in self.operators for index in operator.outputs}
        numbers = {self.tensors[index].dtype for index in computed}
        if "int16" in numbers:
            return "int16x8"
        return "int8" if "int8" in numbers else "dynamic"

    def float_operators(self) -> tuple[str, ...]:
        """Name the operators that compute in float, in order and with repetition."""
        return tuple(
            operator.name
            for operator in self.operators
            if operator.name not in FORMAT_OPERATORS
            and any(self.tensors[index].dtype == "float32" for index in operator.outputs)
        )


def is_tflite(content: bytes) -> bool:
    r"""Tell a `.tflite` file from others by its mark.

    Example:
        >>> is_tflite(b"\x1c\x00\x00\x00TFL3"), is_tflite(b"")
        (True, False)
    """
    return content[4:8] == b"TFL3"


def read_graph(content: bytes) -> FileGraph:
    """Read a file that the interpreter has accepted (it verifies the buffer; this does not).

    Args:
        content: the bytes of a `.tflite` file.

    Returns:
        Its main subgraph. Without a signature (files of old converters), the tensors' own names
        take its place.
    """
    model = schema.Model.GetRootAs(content, 0)
    main = model.Subgraphs(0)
    tensors = tuple(_tensor(model, main.Tensors(i)) for i in range(main.TensorsLength()))
    operators = tuple(_operator(model, main.Operators(i)) for i in range(main.OperatorsLength()))
    if model.SignatureDefsLength():
        signature = model.SignatureDefs(0)
        inputs = _signature(signature.Inputs(i) for i in range(signature.InputsLength()))
        outputs = _signature(signature.Outputs(i) for i in range(signature.OutputsLength()))
        inputs = dict(sorted(inputs.items()))
        if all(map(NUMBERED.fullmatch, outputs)):  # the converter's names, in no order
            outputs = dict(sorted(outputs.items(), key=lambda item: natural_key(item[0])))
    else:
        inputs = {tensors[index].name: int(index) for index in main.InputsAsNumpy()}
        outputs = {tensors[index].name: int(index) for index in main.OutputsAsNumpy()}
    orders = (tuple(map(int, each)) for each in (main.InputsAsNumpy(), main.OutputsAsNumpy()))
    return FileGraph(tensors, operators, inputs, outputs, *orders)


def floored_ranges(calibrated: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Widen the ranges of activations that were zero on every calibration sample.

    Such a range gives a scale of 1e-9 or less. The factor between the scales of an operator's input
    and output then leaves what XNNPACK accepts ([2^-32, 256)): it refuses the file, and may free
    its memory twice while doing so. A range of 1/256 of the file's usual one stays within; its
    values are still all but zero.

    Args:
        calibrated: a float file with the smallest and the largest value of every activation, as
            the converter's calibrator leaves it.

    Returns:
        The file, and the names of the tensors that were changed; the same bytes without any.
    """
    buffer = bytearray(calibrated)
    found = []
    model = schema.Model.GetRootAs(buffer, 0)
    for subgraph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for tensor in map(subgraph.Tensors, range(subgraph.TensorsLength())):
            limits = tensor.Quantization()
            if limits is not None and limits.MinLength() and limits.MaxLength():
                # Zero is always in the range: padding and ReLU need it.
                low, high = min(limits.Min(0), 0.0), max(limits.Max(0), 0.0)
                found.append((tensor.Name().decode(), high - low, limits.MaxAsNumpy()))
    widths = np.array([width for _, width, _ in found])
    usual = float(np.median(widths[widths > _DEAD * widths.max()])) if widths.any() else 0.0
    dead = [(name, maximum) for name, width, maximum in found if width < _DEAD * usual]
    for _, maximum in dead:
        maximum[:] = _FLOOR * usual  # a view: writes into the buffer
    return bytes(buffer), tuple(name for name, _ in dead)


def _tensor(model, tensor) -> Tensor:  # type: ignore[no-untyped-def]
    quantization = tensor.Quantization()
    scaled = quantization is not None and quantization.ScaleLength() > 0
    return Tensor(
        name=(tensor.Name() or b"").decode(),
        shape=tuple(map(int, tensor.ShapeAsNumpy())) if tensor.ShapeLength() else (),
        dtype=_TYPES[tensor.Type()],
        constant=model.Buffers(tensor.Buffer()).DataLength() > 0,
        scale=quantization.ScaleAsNumpy() if scaled else np.zeros(0, np.float32),
        zero_point=quantization.ZeroPointAsNumpy() if scaled else np.zeros(0, np.int64),
        sparse=tensor.Sparsity() is not None,
    )


def _operator(model, operator) -> Operator:  # type: ignore[no-untyped-def]
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Codes above 127 are in the second field only; the deprecated one is capped there.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    return Operator(
        name=_OPERATORS.get(number, f"operator {number}"),
        inputs=tuple(int(i) for i in operator.InputsAsNumpy() if i >= 0),  # -1: left out
        outputs=tuple(int(i) for i in operator.OutputsAsNumpy()),
    )


def _signature(entries) -> dict[str, int]:  # type: ignore[no-untyped-def]
    return {entry.Name().decode(): entry.TensorIndex() for entry in entries}


def natural_key(name: str) -> tuple[str, int]:
    """Sort `output_2` before `output_10`, as `keras.tree.flatten` has them."""
    numbered = NUMBERED.fullmatch(name)
    return ("output_", int(numbered[1])) if numbered else (name, 0)


def read_model(content: bytes) -> Any:
    """Read a file into objects that can be changed, `schema.ModelT`; see `write_model`."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(content), 0))


def write_model(model: Any) -> bytes:
    """Write objects as a file.

    Args:
        model: a `schema.ModelT`; its constants come to lie at multiples of 16 bytes.

    Returns:
        The content. Equal objects give equal bytes; equal scales, zero points, shapes and names
        stand in it once.
    """
    model.buffers = [_AlignedBuffer(buffer) for buffer in model.buffers]
    builder = _SharingBuilder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal vectors of numbers and equal texts once: those who refer to them share them.

    A file has a scale and a zero point of 8 bytes for each channel of a kernel, of its bias and of
    what is decoded to it.
    """

    def __init__(self, initial_size: int) -> None:
        super().__init__(initial_size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        """Write an array, or give the place of an equal one."""
        return self._once((x.dtype.str, x.tobytes()), super().CreateNumpyVector, x)

    def CreateString(  # noqa: N802
        self, s: str | bytes, encoding: str = "utf-8", errors: str = "strict"
    ) -> int:
        """Write a text, or give the place of an equal one."""
        content = s.encode(encoding, errors) if isinstance(s, str) else bytes(s)
        return self._once(("text", content), super().CreateString, content)

    def _once(self, key: tuple[str, bytes], write: Callable[[Any], int], value: Any) -> int:
        if key not in self._written:
            self._written[key] = write(value)
        return self._written[key]


class _AlignedBuffer:
    """A constant that begins at a multiple of 16 bytes, where int32 and vector loads want it."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  the generated classes' name
        """Write the constant."""
        data = self._buffer.data
        start = None
        if data is not None and len(data):
            builder.StartVector(1, len(data), _ALIGNMENT)
            content = np.asarray(data, np.uint8).tobytes()
            head = builder.head - len(content)
            builder.head = head
            builder.Bytes[head : head + len(content)] = content
            start = builder.EndVector()
        schema.BufferStart(builder)
        if start is not None:
            schema.BufferAddData(builder, start)
        end: int = schema.BufferEnd(builder)
        return end

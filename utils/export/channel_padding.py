"""Zeros along channels as a 1x1 convolution with an identity, in an int8 file, bit for bit.

A residual block that halves the resolution may have a shortcut without weights: every second
position, and zeros for the channels that are new. In a file that is `PAD`, behind a `MAX_POOL_2D`
with a window of one or a `STRIDED_SLICE`. An Ethos-U has no such operator: its compiler copies the
tensor and each block of zeros in a pass of its own, and older ones left it on the CPU. A strided
1x1 convolution is one pass.

It gives the same integers. Weights are 1 or 0 with scale 1, input and output have one scale and one
zero point z, so that what is accumulated for an output is x - z, or 0, the factor from accumulator
to output is 1, and the output x, or z, which is what `PAD` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from utils.export.flatbuffer import read_model, write_model

_CONV_VERSION = 3  # of int8 convolutions
_Code = schema.BuiltinOperator


def with_identity_convolutions(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Replace paddings along channels.

    Args:
        content: an int8 `.tflite` file that the interpreter accepts.

    Returns:
        The file, and the names of the tensors that are now made by a convolution; the same bytes
        without any.
    """
    model = read_model(content)
    names = [name for subgraph in model.subgraphs for name in _Rewriting(model, subgraph).run()]
    return (write_model(model), tuple(names)) if names else (content, ())


class _Rewriting:
    """Changes the operators of one subgraph; tensors keep their numbers."""

    def __init__(self, model: Any, subgraph: Any) -> None:
        self._model = model
        self._subgraph = subgraph
        self._makers = {int(op.outputs[0]): op for op in subgraph.operators}
        self._uses: dict[int, int] = {}
        for number in (*subgraph.outputs, *(i for op in subgraph.operators for i in op.inputs)):
            self._uses[int(number)] = self._uses.get(int(number), 0) + 1

    def run(self) -> list[str]:
        """Replace what can be; give the names of the tensors."""
        names, dropped = [], []
        for place, operator in enumerate(self._subgraph.operators):
            padding = self._channel_padding(operator)
            if padding is None:
                continue
            source, strides = int(operator.inputs[0]), (1, 1)
            picker = self._makers.get(source)
            if picker is not None and self._uses[source] == 1:
                found = self._strides(picker)
                if found is not None:
                    source, strides = int(picker.inputs[0]), found
                    dropped.append(picker)
            self._subgraph.operators[place] = self._convolution(operator, source, strides, padding)
            names.append(self._tensor(operator.outputs[0]).name.decode())
        self._subgraph.operators = [
            each for each in self._subgraph.operators if not any(each is gone for gone in dropped)
        ]
        return names

    def _tensor(self, number: int) -> Any:
        return self._subgraph.tensors[int(number)]

    def _code(self, operator: Any) -> int:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return max(code.builtinCode, code.deprecatedBuiltinCode)

    def _channel_padding(self, operator: Any) -> tuple[int, int] | None:
        """Give the zeros before and behind the channels of a `PAD` that has no others."""
        if self._code(operator) != _Code.PAD:
            return None
        source, target = (self._tensor(n) for n in (operator.inputs[0], operator.outputs[0]))
        sizes = self._constant(operator.inputs[1])
        is_int8 = source.type == target.type == schema.TensorType.INT8
        if sizes is None or len(source.shape) != 4 or not is_int8 or not _same_grid(source, target):
            return None
        before, behind = sizes.reshape(4, 2)[3]
        return (int(before), int(behind)) if before + behind == sizes.sum() else None

    def _constant(self, number: int) -> np.ndarray | None:
        """Read integers that are stored in the file."""
        tensor = self._tensor(number)
        data = self._model.buffers[tensor.buffer].data
        kinds: Mapping[int, Any] = {
            schema.TensorType.INT32: np.int32,
            schema.TensorType.INT64: np.int64,
        }
        if data is None or not len(data) or tensor.type not in kinds:
            return None
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), kinds[tensor.type])

    def _strides(self, operator: Any) -> tuple[int, int] | None:
        """Give the steps, height and width, of an operator that does no more than pick places."""
        source, target = (self._tensor(n) for n in (operator.inputs[0], operator.outputs[0]))
        if not _same_grid(source, target):
            return None
        options = operator.builtinOptions
        if self._code(operator) == _Code.MAX_POOL_2D:
            alone = (options.filterHeight, options.filterWidth) == (1, 1)
            bare = options.fusedActivationFunction == schema.ActivationFunctionType.NONE
            return (options.strideH, options.strideW) if alone and bare else None
        if self._code(operator) == _Code.STRIDED_SLICE:
            begin, steps = (self._constant(operator.inputs[place]) for place in (1, 3))
            return _slice_strides(source.shape, target.shape, begin, steps)
        return None

    def _convolution(
        self, operator: Any, source: int, strides: tuple[int, int], padding: tuple[int, int]
    ) -> Any:
        inputs, outputs = self._tensor(source), self._tensor(operator.outputs[0])
        kernel = np.zeros((outputs.shape[3], 1, 1, inputs.shape[3]), np.int8)
        channels = np.arange(inputs.shape[3])
        kernel[padding[0] + channels, 0, 0, channels] = 1
        name = outputs.name
        weights = self._add(name + b"/identity", kernel, schema.TensorType.INT8, 1.0)
        scale = float(inputs.quantization.scale[0])
        offsets = np.zeros(len(kernel), np.int32)
        bias = self._add(name + b"/zeros", offsets, schema.TensorType.INT32, scale)
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH, options.strideW = strides
        options.dilationHFactor = options.dilationWFactor = 1
        made = schema.OperatorT()
        made.opcodeIndex = self._opcode()
        made.inputs = np.array([source, weights, bias], np.int32)
        made.outputs = np.array(operator.outputs, np.int32)
        made.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
        made.builtinOptions = options
        return made

    def _opcode(self) -> int:
        for number, code in enumerate(self._model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == _Code.CONV_2D:
                return number
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = _Code.CONV_2D
        code.version = _CONV_VERSION
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def _add(self, name: bytes, values: np.ndarray, kind: int, scale: float) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.hasRank = name, kind, True
        tensor.shape = np.array(values.shape, np.int32)
        tensor.buffer = len(self._model.buffers) - 1
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array([scale], np.float32)
        tensor.quantization.zeroPoint = np.zeros(1, np.int64)
        self._subgraph.tensors.append(tensor)
        return len(self._subgraph.tensors) - 1


def _same_grid(first: Any, second: Any) -> bool:
    """Whether two tensors' integers stand for the same numbers, by one scale."""
    grids = [tensor.quantization for tensor in (first, second)]
    if any(grid is None or grid.scale is None or len(grid.scale) != 1 for grid in grids):
        return False
    scales, zeros = ([getattr(grid, name)[0] for grid in grids] for name in ("scale", "zeroPoint"))
    return bool(scales[0] == scales[1] and zeros[0] == zeros[1])


def _slice_strides(
    shape: Any, result: Any, begin: np.ndarray | None, steps: np.ndarray | None
) -> tuple[int, int] | None:
    """Give the steps of a slice that begins at the first place and reaches the end."""
    if begin is None or steps is None or len(shape) != 4 or len(steps) != 4 or begin.any():
        return None
    height, width = int(steps[1]), int(steps[2])
    if min(height, width) < 1 or steps[0] != 1 or steps[3] != 1:
        return None
    wanted = [shape[0], -(-shape[1] // height), -(-shape[2] // width), shape[3]]
    return (height, width) if list(result) == wanted else None

"""A quantized network computed in integers from the first layer to the last: the `_t` strategies.

What the device computes, bit for bit where it uses TensorFlow Lite's reference kernels. Layers that
only move values (padding, slices, reshapes, max pooling, concatenation) are run on the integers
themselves, less their zero point, so that what they fill with means zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.graph import Graph, Node, Ref, ops
from utils.graph.ir import INPUT_LAYER, leaves
from utils.graph.keras_io import build_operation
from utils.graph.row import IntegerForm, Window
from utils.quantization import integer_ops as kernels
from utils.quantization.grid import Scaling
from utils.quantization.integer_ops import INT8, Format, Kernel, integer_bias
from utils.quantization.integer_softmax import softmax
from utils.quantization.tensor import QuantizedTensor

_FIRST_INDEX = INT8[0]  # what the lowest index of a grid is as an int8


class IntegerNetwork:
    """Computes a network in int8.

    Args:
        graph: the network as it runs, biases in float.
        scalings: the grids of its activations (8 bits), see `utils.quantization.integers`.
        weights: (layer, weight) -> its integers.

    Raises:
        InputError: for a layer that there is no integer arithmetic for here, by name.
    """

    def __init__(
        self,
        graph: Graph,
        scalings: Mapping[Ref, Scaling],
        weights: Mapping[tuple[str, str], QuantizedTensor],
    ) -> None:
        self._graph = graph
        self._weights = weights
        self._formats = {
            ref: Format(
                scale=float(np.float32(scaling.scale[0])),
                zero_point=int(scaling.zero_point[0]) + _FIRST_INDEX,
            )
            for ref, scaling in scalings.items()
        }
        self._steps: dict[str, Callable[..., np.ndarray]] = {}
        for node in graph.nodes:
            if node.op != INPUT_LAYER:
                self._steps[node.name] = self._step(node)

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Compute.

        Args:
            *inputs: float, one for each input of the network, in order.

        Returns:
            Its outputs in their order, float32: what their integers stand for.
        """
        outputs = self.integers(*inputs)
        return [
            self._formats[ref].decode(values)
            for ref, values in zip(leaves(self._graph.output_structure), outputs, strict=True)
        ]

    def integers(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Compute as `__call__`, and give the int8 outputs."""
        values: dict[Ref, np.ndarray] = {}
        for ref, array in zip(self._graph.inputs, inputs, strict=True):
            values[ref] = self._formats[ref].encode(array)
        for node in self._graph.nodes:
            if node.name in self._steps:
                given = [values[ref] for ref in node.inputs]
                values[Ref(node.name)] = self._steps[node.name](*given)
        return [values[ref] for ref in self._graph.outputs]

    def _step(self, node: Node) -> Callable[..., np.ndarray]:
        """Make the function int8 inputs -> int8 output of a node; settle its output's format."""
        row = ops.find(self._graph, node)
        form = None if row is None or row.integers is None else row.integers(node)
        make = _ARITHMETIC.get(node.op)
        if make is _relu and form is not None and not form.is_relu:  # or it has a slope
            make = _softmax if node.attrs.get("activation") == "softmax" else None
        moves = form is not None and (form.output != "own" or self._is_done(node, form))
        if _averages(node) and node.op not in _POOLS:
            moves = False
        if form is None or not (make or moves) or len(node.output_shapes) > 1:
            raise InputError(
                f"{node.name!r} ({node.op.rpartition('.')[2]}) has no integer arithmetic here. "
                "Choose a strategy without _t."
            )
        if moves and not (make and form.output == "same" and node.op in _POOLS):
            return self._mover(node)
        assert make is not None  # noqa: S101  for the type checker: seen above
        return make(self, node)

    def _is_done(self, node: Node, form: IntegerForm) -> bool:
        """Whether a ReLU was computed by the kernel in front of it."""
        return form.is_relu and node.inputs[0] not in self._formats

    def _mover(self, node: Node) -> Callable[..., np.ndarray]:
        row = ops.find(self._graph, node)
        form = None if row is None or row.integers is None else row.integers(node)
        out = Ref(node.name)
        if form is not None and self._is_done(node, form):
            return lambda values: values
        source = self._formats[node.inputs[0]]
        self._formats.setdefault(out, source)
        operation = build_operation(node)
        shift = np.float32(source.zero_point)

        def move(*given: np.ndarray) -> np.ndarray:
            arrays = iter([values.astype(np.float32) - shift for values in given])
            call = _filled(node.args, arrays)
            named = _filled(dict(node.kwargs), arrays)
            found = np.asarray(operation(*call, **named)) + shift
            return found.astype(np.int8)

        return move

    def target(self, node: Node) -> tuple[Format, str | None]:
        """Give the format that a kernel writes, and the activation that it computes with it."""
        activation = node.attrs.get("activation")
        ref = Ref(node.name)
        if ref in self._formats:
            return self._formats[ref], activation
        (reader,) = self._graph.consumers(node.name)  # a ReLU, see `utils.quantization.integers`
        row = ops.find(self._graph, reader)
        found = None if row is None or row.activation is None else row.activation(reader.attrs)
        return self._formats[Ref(reader.name)], found

    def source(self, node: Node, index: int = 0) -> Format:
        """Give the format of an input."""
        return self._formats[node.inputs[index]]

    def kernel(self, node: Node, *, is_depthwise: bool = False) -> Kernel:
        """Give the integers of a layer's weights."""
        tensor = self._weights[node.layer, "kernel"]
        if tensor.scale is None or tensor.zero_point is None:
            raise ValueError("a kernel in integers has a grid.")
        steps = tensor.indices.astype(np.int32) - int(tensor.zero_point[0])
        shape = steps.shape
        num_outputs = shape[-1] * (shape[-2] if is_depthwise else 1)
        scales = tensor.scale.astype(np.float64)
        bias = self._graph.params[node.layer].get("bias", np.zeros(num_outputs))
        return Kernel(
            weights=steps.astype(np.int8),
            scales=scales,
            bias=integer_bias(bias, self.source(node), scales),
            is_depthwise=is_depthwise,
        )


def _filled(structure: Any, arrays: Any) -> Any:
    """Put arrays in the places of references, in order."""
    if isinstance(structure, Mapping):
        return {key: _filled(value, arrays) for key, value in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)(_filled(value, arrays) for value in structure)
    return next(arrays) if isinstance(structure, Ref) else structure


_Step = Callable[..., np.ndarray]


def _convolution(network: IntegerNetwork, node: Node, *, is_depthwise: bool = False) -> _Step:
    attrs = node.attrs
    window = Window(
        tuple(attrs["kernel_size"]),
        tuple(attrs["strides"]),
        tuple(attrs["dilation_rate"]),
        attrs["padding"] == "same",
    )
    kernel, source = network.kernel(node, is_depthwise=is_depthwise), network.source(node)
    target, activation = network.target(node)
    return lambda values: kernels.convolution(
        values, kernel, source, target, window, activation=activation
    )


def _depthwise(network: IntegerNetwork, node: Node) -> _Step:
    return _convolution(network, node, is_depthwise=True)


def _dense(network: IntegerNetwork, node: Node) -> _Step:
    kernel, source = network.kernel(node), network.source(node)
    target, activation = network.target(node)
    return lambda values: kernels.dense(values, kernel, source, target, activation=activation)


def _add(network: IntegerNetwork, node: Node) -> _Step:
    if len(node.inputs) != 2:
        raise InputError(
            f"{node.name!r} adds {len(node.inputs)} tensors; there is integer arithmetic for two. "
            "Choose a strategy without _t."
        )
    formats = (network.source(node), network.source(node, 1))
    target, activation = network.target(node)
    return lambda left, right: kernels.add(left, right, formats, target, activation=activation)


def _mean(network: IntegerNetwork, node: Node) -> _Step:
    source, (target, _) = network.source(node), network.target(node)
    keeps = node.attrs.get("keepdims")

    def mean(values: np.ndarray) -> np.ndarray:
        found = kernels.mean(values, source, target)
        return found[:, None, None] if keeps else found

    return mean


def _average_pool(network: IntegerNetwork, node: Node) -> _Step:
    size, strides = tuple(node.attrs["pool_size"]), tuple(node.attrs["strides"])
    same = node.attrs["padding"] == "same"
    network._formats.setdefault(Ref(node.name), network.source(node))
    return lambda values: kernels.average_pool(values, size, strides, same=same)


def _relu(network: IntegerNetwork, node: Node) -> _Step:
    source, target = network.source(node), network._formats[Ref(node.name)]
    row = ops.find(network._graph, node)
    activation = None if row is None or row.activation is None else row.activation(node.attrs)
    return lambda values: kernels.requantized(values, source, target, activation=activation)


def _softmax(network: IntegerNetwork, node: Node) -> _Step:
    source, (target, _) = network.source(node), network.target(node)

    def run(values: np.ndarray) -> np.ndarray:
        found = softmax(values, source.scale)
        return found if target == _UNIT else kernels.requantized(found, _UNIT, target)

    return run


def _averages(node: Node) -> bool:
    """Whether values of an op whose range is its input's are means of others."""
    return "Average" in node.op or node.attrs.get("interpolation", "nearest") != "nearest"


_UNIT = Format(scale=1 / 256, zero_point=INT8[0])  # what a softmax always gives
_POOLS = frozenset({"keras.layers.AveragePooling2D"})
_ARITHMETIC: Mapping[str, Callable[[IntegerNetwork, Node], _Step]] = {
    "keras.layers.Conv2D": _convolution,
    "keras.layers.DepthwiseConv2D": _depthwise,
    "keras.layers.Dense": _dense,
    "keras.layers.Add": _add,
    "keras.src.ops.numpy.Add": _add,
    "keras.layers.GlobalAveragePooling2D": _mean,
    "keras.layers.AveragePooling2D": _average_pool,
    "keras.layers.ReLU": _relu,
    "keras.layers.Activation": _relu,
    "keras.layers.Softmax": _softmax,
}

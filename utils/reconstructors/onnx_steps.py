"""The steps of a network in ONNX, one or a few nodes each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.export.onnx_nodes import Writer
from utils.graph.ir import Shape
from utils.reconstructors.onnx_recurrent import add_cell
from utils.reconstructors.rebuilding import RefusedError
from utils.reconstructors.target import Cell, Window

UNITS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "abs": ("Abs", {}),
    **{f"arc{name}": (f"A{name}", {}) for name in ("cos", "sin", "tan")},
    **{f"arc{name}h": (f"A{name}h", {}) for name in ("cos", "sin", "tan")},
    "ceil": ("Ceil", {}),
    "celu": ("Celu", {}),
    "cos": ("Cos", {}),
    "cosh": ("Cosh", {}),
    "elu": ("Elu", {}),
    "erf": ("Erf", {}),
    "exp": ("Exp", {}),
    "floor": ("Floor", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1.0 / 6.0, "beta": 0.5}),
    "hard_swish": ("HardSwish", {}),
    "isinf": ("IsInf", {}),
    "isnan": ("IsNaN", {}),
    "leaky_relu": ("LeakyRelu", {}),
    "log": ("Log", {}),
    "mish": ("Mish", {}),
    "neg": ("Neg", {}),
    "not": ("Not", {}),
    "reciprocal": ("Reciprocal", {}),
    "relu": ("Relu", {}),
    "round": ("Round", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "sign": ("Sign", {}),
    "sin": ("Sin", {}),
    "sinh": ("Sinh", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "sqrt": ("Sqrt", {}),
    "tan": ("Tan", {}),
    "tanh": ("Tanh", {}),
}
_SETTINGS = {"negative_slope": "alpha"}
BINARY: Mapping[str, str] = {
    **{"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow"},
    **{"max": "Max", "min": "Min", "and": "And", "or": "Or", "equal": "Equal", "less": "Less"},
    **{"less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual"},
}
_REDUCTIONS = {name: f"Reduce{name.title()}" for name in ("mean", "sum", "max", "min", "prod")}
_MODES: Mapping[str, Mapping[str, Any]] = {
    # What lies between two takes the one behind, as TensorFlow's half-pixel centers do.
    "nearest": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    "bilinear": {"mode": "linear"},
}


class OnnxTarget:
    """Writes a network down as ONNX nodes; the methods are those of `Target`.

    Args:
        writer: what they are added to.

    Attributes:
        inputs: (name, shape, dtype) of the network's inputs.
        outputs: of its outputs, likewise.
    """

    units = UNITS

    def __init__(self, writer: Writer) -> None:
        self.inputs: list[tuple[str, Shape, str]] = []
        self.outputs: list[tuple[str, Shape, str]] = []
        self._writer = writer
        self._call = "network"
        self._layer = "network"
        self._held: dict[str, list[tuple[str, np.ndarray]]] = {}
        self._taken: set[str] = set()

    def begin(self, layer: str, call: str) -> None:
        """See `Target`, as for all other steps."""
        self._layer, self._call = layer, call

    def input(self, name: str, shape: Shape, dtype: str) -> str:
        self.inputs.append((name, shape, dtype))
        self._taken.add(name)
        return name

    def output(self, name: str, x: str, shape: Shape, dtype: str) -> None:
        self.outputs.append((name, shape, dtype))
        self._writer.add("Identity", [x], name)

    def _name(self, kind: str) -> str:
        wanted = f"{self._call}/{kind}"
        name, number = wanted, 0
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def _add(self, op: str, *inputs: Any, **attrs: Any) -> str:
        """Add a node; arrays among the inputs become constants, None is left out."""
        names = [self._operand(each) for each in inputs]
        return self._writer.add(op, names, self._name(op.lower()), **attrs)

    def _operand(self, each: Any) -> str:
        if each is None:
            return ""
        return each if isinstance(each, str) else self.constant("constant", np.asarray(each))

    def constant(self, name: str, values: np.ndarray, *, trained: bool = False) -> str:
        """Add an array; equal ones of a layer that is called several times are held once."""
        array = np.array(values, order="C")
        wanted = f"{self._layer}/{name}"
        for held, earlier in self._held.setdefault(wanted, []):
            if earlier.dtype == array.dtype and np.array_equal(earlier, array):
                return held
        number = len(self._held[wanted])
        free = f"{wanted}_{number}" if number else wanted
        while free in self._taken:
            free = f"{free}_"
        self._taken.add(free)
        self._held[wanted].append((free, array))
        return self._writer.constant(free, array)

    # -- value by value -------------------------------------------------------------------------

    def unary(self, name: str, x: str, **settings: float) -> str:
        op, fixed = UNITS[name]
        chosen = {_SETTINGS.get(key, key): value for key, value in settings.items()}
        return self._add(op, x, **fixed, **chosen)

    def binary(self, name: str, x: Any, y: Any) -> str:
        if name == "not_equal":
            return self._add("Not", self.binary("equal", x, y))
        return self._add(BINARY[name], _number(x), _number(y))

    def where(self, condition: str, x: Any, y: Any) -> str:
        return self._add("Where", condition, _number(x), _number(y))

    def clip(self, x: str, low: float | None, high: float | None) -> str:
        ends = [None if end is None else np.float32(end) for end in (low, high)]
        return self._add("Clip", x, *(ends if high is not None else ends[:1]))

    def cast(self, x: str, dtype: str) -> str:
        return self._add("Cast", x, to=tensor_type(dtype))

    def softmax(self, x: str, axis: int, *, log: bool = False) -> str:
        return self._add("LogSoftmax" if log else "Softmax", x, axis=axis)

    def stop_gradient(self, x: str) -> str:
        return x

    def rounded(self, x: str, settled: str) -> str:
        return settled

    def drop(self, x: str, rate: float, shared: Sequence[int]) -> str:
        return x

    def noise(self, name: str, x: str, amount: float) -> str:
        return x

    def prelu(self, x: str, slopes: np.ndarray) -> str:
        return self._add("PRelu", x, self.constant("slope", slopes))

    # -- axes -----------------------------------------------------------------------------------

    def reduce(self, name: str, x: str, axes: Sequence[int], keepdims: bool) -> str:
        return self._add(_REDUCTIONS[name], x, _whole(axes), keepdims=int(keepdims))

    def transpose(self, x: str, perm: Sequence[int]) -> str:
        return self._add("Transpose", x, perm=list(perm))

    def reshape(self, x: str, sizes: Sequence[int | None]) -> str:
        return self._add("Reshape", x, _whole([0 if size is None else size for size in sizes]))

    def squeeze(self, x: str, axes: Sequence[int]) -> str:
        return self._add("Squeeze", x, _whole(axes))

    def unsqueeze(self, x: str, axes: Sequence[int]) -> str:
        return self._add("Unsqueeze", x, _whole(axes)) if axes else x

    def tile(self, x: str, repeats: Sequence[int]) -> str:
        return self._add("Tile", x, _whole(repeats))

    def concat(self, parts: Sequence[str], axis: int) -> str:
        return self._add("Concat", *parts, axis=axis)

    def slice(self, x: str, parts: Mapping[int, tuple[int, int | None, int]]) -> str:
        far = np.iinfo(np.int64).max
        starts = [start for start, _, _ in parts.values()]
        stops = [far if stop is None else stop for _, stop, _ in parts.values()]
        steps = [step for _, _, step in parts.values()]
        return self._add("Slice", x, *map(_whole, (starts, stops, [*parts], steps)))

    def flip(self, x: str, axes: Sequence[int]) -> str:
        count = len(axes)
        least = np.iinfo(np.int64).min
        return self._add(
            "Slice", x, *map(_whole, ([-1] * count, [least] * count, axes, [-1] * count))
        )

    def take(self, x: str, indices: np.ndarray, axis: int) -> str:
        return self._add("Gather", x, self.constant("indices", _whole(indices)), axis=axis)

    def look_up(self, table: str, indices: str) -> str:
        return self._add("Gather", table, indices, axis=0)

    def pad(self, x: str, widths: Sequence[tuple[int, int]], value: float) -> str:
        ends = [*(low for low, _ in widths), *(high for _, high in widths)]
        return self._add("Pad", x, _whole(ends), np.float32(value))

    # -- kernels --------------------------------------------------------------------------------

    def convolution(self, x: str, kernel: np.ndarray, bias: Any, window: Window) -> str:
        return self._add(
            "Conv",
            x,
            *self._weights(kernel, bias),
            group=window.groups,
            dilations=list(window.dilation),
            **_walk(window),
        )

    def transposed(self, x: str, kernel: np.ndarray, bias: Any, window: Window) -> str:
        return self._add(
            "ConvTranspose",
            x,
            *self._weights(kernel, bias),
            dilations=list(window.dilation),
            output_padding=list(window.extra),
            **_walk(window),
        )

    def _weights(self, kernel: np.ndarray, bias: Any) -> list[str]:
        names = [self.constant("kernel", kernel)]
        return names if bias is None else [*names, self.constant("bias", bias)]

    def linear(self, x: str, kernel: np.ndarray, bias: Any) -> str:
        found = self._add("MatMul", x, self.constant("kernel", kernel.T))
        return found if bias is None else self._add("Add", found, self.constant("bias", bias))

    def matmul(self, x: str, y: str) -> str:
        return self._add("MatMul", x, y)

    def einsum(self, equation: str, *operands: str) -> str:
        return self._add("Einsum", *operands, equation=equation)

    def choose(self, name: str, x: str, axis: int, keepdims: bool) -> str:
        op = {"argmax": "ArgMax", "argmin": "ArgMin"}[name]
        return self._add(op, x, axis=axis, keepdims=int(keepdims))

    def pool(self, name: str, x: str, window: Window, sizes: Sequence[int | None]) -> str:
        op = "MaxPool" if name == "max" else "AveragePool"  # which leaves padding out
        return self._add(op, x, **_walk(window))

    def resize(self, x: str, sizes: Sequence[int], scales: Sequence[float], mode: str) -> str:
        options = {"coordinate_transformation_mode": "half_pixel", **_MODES[mode]}
        if scales:
            factors = np.array([1.0, 1.0, *scales], np.float32)
            return self._add("Resize", x, None, factors, **options)
        places = list(range(2, 2 + len(sizes)))
        return self._add("Resize", x, None, None, _whole(sizes), axes=places, **options)

    # -- normalization --------------------------------------------------------------------------

    def batch_norm(
        self,
        x: str,
        rank: int,
        arrays: Mapping[str, np.ndarray],
        epsilon: float,
        momentum: float,
    ) -> str:
        held = [self.constant(name, arrays[name]) for name in ("gamma", "beta", "mean", "variance")]
        return self._add(
            "BatchNormalization", x, *held, epsilon=float(epsilon), momentum=float(momentum)
        )

    def layer_norm(
        self, x: str, gamma: Any, beta: Any, shape: Sequence[int], epsilon: float
    ) -> str:
        held = [self.constant("gamma", np.ones(shape, np.float32) if gamma is None else gamma)]
        if beta is not None:
            held.append(self.constant("beta", beta))
        return self._add("LayerNormalization", x, *held, axis=-len(shape), epsilon=float(epsilon))

    def group_norm(
        self, x: str, groups: int, gamma: np.ndarray, beta: np.ndarray, epsilon: float
    ) -> str:
        """Normalize each group as an instance of its own; then scale and shift channels."""
        rows = self.reshape(x, [None, groups, -1])
        ones = self.constant("ones", np.ones(groups, np.float32))
        zeros = self.constant("zeros", np.zeros(groups, np.float32))
        normal = self._add("InstanceNormalization", rows, ones, zeros, epsilon=float(epsilon))
        found = self._add("Reshape", normal, self._add("Shape", x))
        # Channels stand second: their arrays get axes behind, of a number that only x tells.
        first = self.reshape(found, [None, gamma.size, -1])
        scaled = self._add("Mul", first, self.constant("gamma", gamma[:, None]))
        moved = self._add("Add", scaled, self.constant("beta", beta[:, None]))
        return self._add("Reshape", moved, self._add("Shape", x))

    # -- recurrent layers -----------------------------------------------------------------------

    def recurrent(self, x: str, cell: Cell, states: Sequence[str]) -> tuple[str, Sequence[str]]:
        return add_cell(self, self._writer, self._name, x, cell, states)


def tensor_type(dtype: str) -> int:
    """Give ONNX' number of a type.

    Raises:
        RefusedError: for one that it lacks.
    """
    from onnx import TensorProto, helper

    names = {"bool": TensorProto.BOOL, "float32": TensorProto.FLOAT}
    if dtype in names:
        return int(names[dtype])
    try:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    except (KeyError, TypeError) as error:
        raise RefusedError(f"it computes in {dtype}") from error


def _number(each: Any) -> Any:
    """Give a float the type in which it meets tensors; integers of NumPy have theirs."""
    return np.float32(each) if isinstance(each, float) else each


def _whole(values: Any) -> np.ndarray:
    return np.asarray(list(values), np.int64)


def _walk(window: Window) -> dict[str, Any]:
    """Write how a window walks; ONNX does "same" with open sizes by itself."""
    walk = {"kernel_shape": list(window.size), "strides": list(window.strides)}
    if isinstance(window.pads, str):
        return {**walk, "auto_pad": "SAME_UPPER"}
    before, behind = zip(*window.pads, strict=True)
    return {**walk, "pads": [*before, *behind]}

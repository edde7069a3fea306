"""What ONNX computes for each layer of a quantized network: one table of small functions.

Maps are [n, c, h, w] in ONNX, as the runtimes want them, and [n, h, w, c] in Keras; tensors of
other ranks are the same in both. A function of the table gets the node and its inputs' names, adds
what ONNX needs to the writer, and gives the name of what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.graph import Graph, Node, Ref
from utils.graph.ir import leaves

MAP_RANK = 4
_FIRST, _LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # Keras -> ONNX and back


class Writer:
    """Collects nodes and constants.

    Args:
        graph: the network, for shapes.

    Attributes:
        nodes: of ONNX, in order.
        constants: tensors by name.
    """

    def __init__(self, graph: Graph) -> None:
        import onnx.helper

        self._make = onnx.helper.make_node
        self._graph = graph
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, op: str, inputs: Sequence[str], name: str, **attrs: Any) -> str:
        """Add a node with one output, which it is named after."""
        self.nodes.append(self._make(op, list(inputs), [name], name=name, **attrs))
        return name

    def add_several(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], name: str, **attrs: Any
    ) -> None:
        """Add a node with several outputs."""
        self.nodes.append(self._make(op, list(inputs), list(outputs), name=name, **attrs))

    def constant(self, name: str, values: Any) -> str:
        """Add a tensor."""
        self.constants[name] = np.asarray(values)
        return name

    def shape(self, ref: Ref) -> tuple[int | None, ...]:
        """Give a tensor's shape in Keras."""
        return self._graph.shape(ref)

    def rank(self, ref: Ref) -> int:
        """Count a tensor's axes."""
        return len(self.shape(ref))

    def to_keras(self, name: str, ref: Ref, ending: str = "last") -> str:
        """Bring a tensor that ONNX holds into the order of Keras."""
        if self.rank(ref) != MAP_RANK:
            return name
        return self.add("Transpose", [name], f"{name}/{ending}", perm=_LAST)

    def to_onnx(self, name: str, ref: Ref, ending: str = "first") -> str:
        """Bring a tensor in the order of Keras into that of ONNX."""
        if self.rank(ref) != MAP_RANK:
            return name
        return self.add("Transpose", [name], f"{name}/{ending}", perm=_FIRST)

    def axis(self, ref: Ref, axis: int) -> int:
        """Say where an axis of Keras is in ONNX."""
        axis %= self.rank(ref)
        return _LAST[axis] if self.rank(ref) == MAP_RANK else axis


def model_content(
    writer: Writer,
    name: str,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    *,
    opset: int,
    ir_version: int,
) -> bytes:
    """Make a model of what a writer has collected, check it, and give the file's content.

    Args:
        writer: nodes and constants.
        name: of the graph.
        inputs: value infos.
        outputs: value infos.
        opset: version of the operators.
        ir_version: version of the format.
    """
    import onnx
    from onnx import helper, numpy_helper

    constants = [
        numpy_helper.from_array(np.array(values, order="C"), name)
        for name, values in writer.constants.items()
    ]
    made = helper.make_graph(writer.nodes, name, list(inputs), list(outputs), initializer=constants)
    model = helper.make_model(
        made,
        producer_name="flowpress",
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


Weights = Callable[[Node, Callable[[np.ndarray], np.ndarray], int], list[str]]
"""(node, kernel of Keras -> of ONNX, the axis of its outputs) -> names of kernel and bias."""
_Function = Callable[[Writer, Node, list[str]], str]


def add_node(writer: Writer, node: Node, inputs: list[str], weights: Weights) -> str:
    """Add what computes a node, its activation included.

    Args:
        writer: what it is added to.
        node: the node.
        inputs: names of its inputs, in order.
        weights: adds its weights.

    Returns:
        The name of its output.

    Raises:
        InputError: for a layer that has no form here, by name.
    """
    if node.op in _KERNELS:
        found = _KERNELS[node.op](writer, node, inputs, weights)
        return activated(writer, node, found)
    if node.op not in _FUNCTIONS:
        raise _without_form(node)
    return _FUNCTIONS[node.op](writer, node, inputs)


def _without_form(node: Node, reason: str = "") -> InputError:
    return InputError(
        f"{node.name!r} ({node.op.rpartition('.')[2]}{reason}) has no form in ONNX here. Write a "
        ".tflite file instead."
    )


def activated(writer: Writer, node: Node, name: str) -> str:
    """Add a layer's `activation`."""
    activation = node.attrs.get("activation")
    if activation in (None, "linear"):
        return name
    if activation not in _ACTIVATIONS:
        raise _without_form(node, f", {activation}")
    return _ACTIVATIONS[activation](writer, node, name)


def _convolution(
    writer: Writer, node: Node, inputs: list[str], weights: Weights, *, is_depthwise: bool = False
) -> str:
    source, attrs = node.inputs[0], node.attrs
    if attrs.get("data_format") == "channels_first":
        raise _without_form(node, ", channels first")

    def layout(kernel: np.ndarray) -> np.ndarray:
        if not is_depthwise:
            return kernel.transpose(3, 2, 0, 1)
        moved = kernel.transpose(2, 3, 0, 1)  # [C, M, h, w]: output c M + m reads channel c
        return moved.reshape(-1, 1, *moved.shape[2:])

    channels = writer.shape(source)[-1]
    return writer.add(
        "Conv",
        [*inputs, *weights(node, layout, 0)],
        f"{node.name}/conv",
        kernel_shape=list(attrs["kernel_size"]),
        strides=list(attrs["strides"]),
        dilations=list(attrs["dilation_rate"]),
        group=channels if is_depthwise else attrs.get("groups", 1),
        **_pads(writer, node, attrs["kernel_size"], attrs["dilation_rate"]),
    )


def _depthwise(writer: Writer, node: Node, inputs: list[str], weights: Weights) -> str:
    return _convolution(writer, node, inputs, weights, is_depthwise=True)


def _dense(writer: Writer, node: Node, inputs: list[str], weights: Weights) -> str:
    source = node.inputs[0]
    if writer.rank(source) == 2:
        return writer.add("Gemm", [*inputs, *weights(node, np.asarray, 1)], f"{node.name}/dense")
    last = writer.to_keras(inputs[0], source, f"{node.name}/last")
    kernel, *bias = weights(node, np.asarray, 1)
    found = writer.add("MatMul", [last, kernel], f"{node.name}/product")
    if bias:
        found = writer.add("Add", [found, *bias], f"{node.name}/dense")
    return writer.to_onnx(found, Ref(node.name))


_KERNELS: Mapping[str, Callable[[Writer, Node, list[str], Weights], str]] = {
    "keras.layers.Conv2D": _convolution,
    "keras.layers.DepthwiseConv2D": _depthwise,
    "keras.layers.Dense": _dense,
}


def _pads(
    writer: Writer, node: Node, size: Sequence[int], dilation: Sequence[int] = (1, 1)
) -> dict[str, Any]:
    """Write "same" padding out: the odd row and column are behind, as TensorFlow has it."""
    if node.attrs["padding"] != "same":
        return {}
    before, behind = [], []
    sizes = writer.shape(node.inputs[0])[1:3]
    for length, window, stride, step in zip(
        sizes, size, node.attrs["strides"], dilation, strict=True
    ):
        if length is None:
            return {"auto_pad": "SAME_UPPER"}
        reach = (window - 1) * step + 1
        total = max((-(-length // stride) - 1) * stride + reach - length, 0)
        before.append(total // 2)
        behind.append(total - total // 2)
    return {"pads": [*before, *behind]}


def _clip(writer: Writer, node: Node, name: str, high: float) -> str:
    ends = [
        writer.constant(f"{node.name}/{end}", np.float32(value))
        for end, value in (("least", 0.0), ("greatest", high))
    ]
    return writer.add("Clip", [name, *ends], f"{node.name}/relu")


def _plain_activation(op: str, **attrs: Any) -> Callable[[Writer, Node, str], str]:
    return lambda writer, node, name: writer.add(op, [name], f"{node.name}/{op.lower()}", **attrs)


def _swish(writer: Writer, node: Node, name: str) -> str:
    gate = writer.add("Sigmoid", [name], f"{node.name}/gate")
    return writer.add("Mul", [name, gate], f"{node.name}/swish")


def _softmax(writer: Writer, node: Node, name: str) -> str:
    axis = writer.axis(Ref(node.name), -1)
    return writer.add("Softmax", [name], f"{node.name}/softmax", axis=axis)


_ACTIVATIONS: Mapping[str, Callable[[Writer, Node, str], str]] = {
    "relu": _plain_activation("Relu"),
    "relu6": lambda writer, node, name: _clip(writer, node, name, 6.0),
    "sigmoid": _plain_activation("Sigmoid"),
    "tanh": _plain_activation("Tanh"),
    "leaky_relu": _plain_activation("LeakyRelu", alpha=0.2),
    **dict.fromkeys(("swish", "silu"), _swish),
    **dict.fromkeys(("hard_swish", "hard_silu"), _plain_activation("HardSwish")),
    "softmax": _softmax,
}


def _activation(writer: Writer, node: Node, inputs: list[str]) -> str:
    return activated(writer, node, inputs[0])


def _relu(writer: Writer, node: Node, inputs: list[str]) -> str:
    slope, high = node.attrs.get("negative_slope"), node.attrs.get("max_value")
    if slope:
        return writer.add("LeakyRelu", inputs, f"{node.name}/relu", alpha=float(slope))
    if high is not None:
        return _clip(writer, node, inputs[0], float(high))
    return writer.add("Relu", inputs, f"{node.name}/relu")


def _binary(op: str) -> _Function:
    def binary(writer: Writer, node: Node, inputs: list[str]) -> str:
        if len({writer.rank(ref) for ref in node.inputs}) > 1:
            raise _without_form(node, ", tensors of different ranks")
        names = iter(inputs)
        operands = [
            next(names)
            if isinstance(each, Ref)
            else writer.constant(f"{node.name}/{number}", np.float32(each))
            for number, each in enumerate(leaves(node.args))
        ]
        return writer.add(op, operands, f"{node.name}/{op.lower()}")

    return binary


def _concatenate(writer: Writer, node: Node, inputs: list[str]) -> str:
    axis = writer.axis(Ref(node.name), node.attrs.get("axis", -1))
    return writer.add("Concat", inputs, f"{node.name}/concat", axis=axis)


def _pool(op: str) -> _Function:
    def pool(writer: Writer, node: Node, inputs: list[str]) -> str:
        size = node.attrs["pool_size"]
        return writer.add(
            op,
            inputs,
            f"{node.name}/pool",
            kernel_shape=list(size),
            strides=list(node.attrs["strides"]),
            **_pads(writer, node, size),
        )

    return pool


def _global_pool(op: str) -> _Function:
    def pool(writer: Writer, node: Node, inputs: list[str]) -> str:
        found = writer.add(op, inputs, f"{node.name}/pool")
        if node.attrs.get("keepdims"):
            return found
        return writer.add("Flatten", [found], f"{node.name}/flat")

    return pool


def _reshape(writer: Writer, node: Node, inputs: list[str]) -> str:
    last = writer.to_keras(inputs[0], node.inputs[0], f"{node.name}/last")
    sizes = [-1, *(size or 0 for size in node.output_shapes[0][1:])]
    shape = writer.constant(f"{node.name}/sizes", np.array(sizes, np.int64))
    found = writer.add("Reshape", [last, shape], f"{node.name}/reshaped")
    return writer.to_onnx(found, Ref(node.name))


def _padded(writer: Writer, node: Node, inputs: list[str]) -> str:
    if node.op.endswith("ZeroPadding2D"):
        widths = [(0, 0), *node.attrs["padding"], (0, 0)]
    else:
        widths = list(node.attrs["pad_width"])
        value = node.kwargs.get("constant_values")
        if node.attrs.get("mode", "constant") != "constant" or value not in (None, 0, 0.0):
            raise _without_form(node, ", padding with something else than 0")
    if writer.rank(node.inputs[0]) == MAP_RANK:
        widths = [widths[axis] for axis in _FIRST]
    ends = [*(low for low, _ in widths), *(high for _, high in widths)]
    pads = writer.constant(f"{node.name}/pads", np.array(ends, np.int64))
    return writer.add("Pad", [*inputs, pads], f"{node.name}/padded")


def _same(writer: Writer, node: Node, inputs: list[str]) -> str:
    return inputs[0]


_FUNCTIONS: Mapping[str, _Function] = {
    "keras.layers.Activation": _activation,
    "keras.layers.ReLU": _relu,
    "keras.layers.Softmax": lambda writer, node, inputs: _softmax(writer, node, inputs[0]),
    **{
        f"{module}.{name}": _binary(op)
        for module in ("keras.layers", "keras.src.ops.numpy")
        for name, op in (
            *(("Add", "Add"), ("Multiply", "Mul"), ("Subtract", "Sub")),
            *(("Maximum", "Max"), ("Minimum", "Min")),
        )
    },
    "keras.layers.Concatenate": _concatenate,
    "keras.layers.MaxPooling2D": _pool("MaxPool"),
    "keras.layers.AveragePooling2D": _pool("AveragePool"),
    "keras.layers.GlobalAveragePooling2D": _global_pool("GlobalAveragePool"),
    "keras.layers.GlobalMaxPooling2D": _global_pool("GlobalMaxPool"),
    "keras.layers.Flatten": _reshape,
    "keras.layers.Reshape": _reshape,
    "keras.layers.ZeroPadding2D": _padded,
    "keras.src.ops.numpy.Pad": _padded,
    **{
        f"keras.layers.{name}": _same
        for name in ("ActivityRegularization", "Dropout", "Identity", "SpatialDropout2D")
    },
}

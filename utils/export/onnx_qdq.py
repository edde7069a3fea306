"""A quantized network as an ONNX model with Q/DQ nodes, for ONNX Runtime and TensorRT.

Every tensor with a range is quantized and dequantized by a pair of nodes, kernels are int8 tensors
with a DequantizeLinear behind them; runtimes compute in integers what stands between such nodes.
There are two forms:

- `unsigned`: activations uint8 with any zero point, biases int32: what ONNX Runtime has kernels
  for;
- else activations int8 with the zero point 0, biases float: what TensorRT takes. The grids of
  activations must be symmetric; those of sigmoid, softmax and tanh are made so.

Reference:
    "Quantize ONNX models" (onnxruntime.ai/docs), section "ONNX quantization representation format";
    ONNX operators QuantizeLinear and DequantizeLinear, version 13.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.export.onnx_nodes import Writer, add_node, model_content
from utils.export.runner import Inputs, arrange
from utils.graph import Graph, Node, Ref
from utils.graph.ir import INPUT_LAYER, leaves
from utils.quantization.grid import Grid, Range, Scaling, scale
from utils.quantization.integers import Ends, IntegerPlan
from utils.quantization.tensor import QuantizedTensor

OPSET, IR_VERSION = 17, 8
EXTRA = "onnx"
_MIDDLE = 128  # index that int8 calls 0


def require_packages() -> None:
    """Refuse where a package is missing.

    Raises:
        InputError: naming the extra.
    """
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"ONNX files need the package {missing[0]}, which is not installed. Install the extra "
            f"`{EXTRA}`: pip install '.[{EXTRA}]'."
        )


def qdq_model(
    graph: Graph,
    plan: IntegerPlan,
    scalings: Mapping[Ref, Scaling],
    weights: Mapping[tuple[str, str], QuantizedTensor],
    *,
    unsigned: bool,
) -> bytes:
    """Write a quantized network.

    Args:
        graph: the folded network, biases in float.
        plan: its integers.
        scalings: the grids of its activations, of 8 bits.
        weights: the integers of its kernels.
        unsigned: see the module.

    Returns:
        The content of the file. Inputs and outputs are float and named as in Keras, their order of
        axes is that of Keras; the size of the batch is free.

    Raises:
        InputError: if a package is missing, a layer has no form in ONNX here, or grids are not
            symmetric where they must be.
    """
    require_packages()
    whole = _Network(graph, plan, scalings, weights, unsigned=unsigned)
    return whole.content()


class _Network:
    """The model as it is written."""

    def __init__(
        self,
        graph: Graph,
        plan: IntegerPlan,
        scalings: Mapping[Ref, Scaling],
        weights: Mapping[tuple[str, str], QuantizedTensor],
        *,
        unsigned: bool,
    ) -> None:
        self._graph, self._weights, self._unsigned = graph, weights, unsigned
        self._writer = Writer(graph)
        firsts = [place.refs[0] for place in plan.activations]
        self._scalings = {ref: scalings[firsts[number]] for ref, number in plan.range_of.items()}
        if not unsigned:  # a .tflite file's kernels settle ranges; here they may be symmetric
            self._scalings |= {
                ref: _symmetric(plan.activations[number].fixed)
                for ref, number in plan.range_of.items()
                if plan.activations[number].fixed
            }
        self._names: dict[Ref, str] = {}

    def content(self) -> bytes:
        """Translate, and give the file."""
        inputs = [self._input(ref) for ref in self._graph.inputs]
        for node in self._graph.nodes:
            if node.op == INPUT_LAYER:
                continue
            names = [self._names[ref] for ref in node.inputs]
            found = add_node(self._writer, node, names, self._kernel)
            self._names[Ref(node.name)] = self._rounded(Ref(node.name), found)
        outputs = [self._output(ref) for ref in leaves(self._graph.output_structure)]
        return model_content(
            self._writer, self._graph.name, inputs, outputs, opset=OPSET, ir_version=IR_VERSION
        )

    def _input(self, ref: Ref) -> Any:
        self._names[ref] = self._rounded(ref, self._writer.to_onnx(ref.node, ref, "first"))
        return self._info(ref, ref.node)

    def _output(self, ref: Ref) -> Any:
        name = f"{ref.node}_output" if ref in self._graph.inputs else ref.node
        last = self._writer.to_keras(self._names[ref], ref, "output")
        self._writer.add("Identity", [last], name)
        return self._info(ref, name)

    def _info(self, ref: Ref, name: str) -> Any:
        from onnx import TensorProto, helper

        sizes = ["n", *self._graph.shape(ref)[1:]]
        kind = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}.get(
            self._graph.dtype(ref), TensorProto.FLOAT
        )
        return helper.make_tensor_value_info(name, kind, sizes)

    def _rounded(self, ref: Ref, name: str) -> str:
        """Put a pair of Q and DQ behind a tensor that has a range."""
        if ref not in self._scalings:
            return name
        scaling = self._scalings[ref]
        step, zero = np.float32(scaling.scale[0]), int(scaling.zero_point[0])
        if not self._unsigned and zero != _MIDDLE:
            raise InputError(
                f"the grid of {ref.node!r} is not symmetric about zero. Choose --strategy="
                "symmetry_max or scale_shift."
            )
        point = np.uint8(zero) if self._unsigned else np.int8(zero - _MIDDLE)
        held = [
            self._writer.constant(f"{ref.node}/scale", step),
            self._writer.constant(f"{ref.node}/zero", point),
        ]
        quantized = self._writer.add("QuantizeLinear", [name, *held], f"{ref.node}/q")
        return self._writer.add("DequantizeLinear", [quantized, *held], f"{ref.node}/dq")

    def _kernel(
        self, node: Node, layout: Callable[[np.ndarray], np.ndarray], axis: int
    ) -> list[str]:
        tensor = self._weights[node.layer, "kernel"]
        if tensor.scale is None or tensor.zero_point is None:
            raise ValueError("a kernel in integers has a grid.")
        steps = tensor.indices.astype(np.int32) - int(tensor.zero_point[0])
        scales = tensor.scale.astype(np.float32)
        names = [self._constant(f"{node.name}/kernel", layout(steps).astype(np.int8), scales, axis)]
        bias = self._graph.params[node.layer].get("bias")
        if bias is not None:
            names.append(self._bias(node, bias, scales))
        return names

    def _constant(self, name: str, values: np.ndarray, scales: np.ndarray, axis: int) -> str:
        """Add integers with a DequantizeLinear behind them."""
        held = [
            self._writer.constant(f"{name}/q", values),
            self._writer.constant(f"{name}/scale", scales if scales.size > 1 else scales[0]),
            self._writer.constant(
                f"{name}/zero", np.zeros(scales.shape if scales.size > 1 else (), values.dtype)
            ),
        ]
        attrs = {"axis": axis} if scales.size > 1 else {}
        return self._writer.add("DequantizeLinear", held, f"{name}/dq", **attrs)

    def _bias(self, node: Node, bias: np.ndarray, scales: np.ndarray) -> str:
        source = self._scalings.get(node.inputs[0])
        if not self._unsigned or source is None:
            return self._writer.constant(f"{node.name}/bias", bias.astype(np.float32))
        own = np.float32(source.scale[0]) * scales
        steps = np.round(np.asarray(bias, np.float64) / own)
        limits = np.iinfo(np.int32)
        integers = np.clip(steps, limits.min, limits.max).astype(np.int32)
        return self._constant(f"{node.name}/bias", integers, own.astype(np.float32), 0)


def _symmetric(ends: Ends | None) -> Scaling:
    low, high = ends or (-1.0, 1.0)
    found = Range(np.array([low]), np.array([high]))
    return scale(found, Grid(bits=8, kind="symmetric"))


class OnnxRunner:
    """An ONNX model as a function from batches to outputs, by ONNX Runtime.

    Args:
        content: of the file.

    Raises:
        InputError: if the package is missing, or the runtime refuses the model.
    """

    def __init__(self, content: bytes) -> None:
        require_packages()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # x86 processors without VNNI add pairs of products in 16 bits, which overflows silently.
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the package's own classes, one for each status
            raise InputError(f"ONNX Runtime refuses the model: {error}.") from error
        self._shapes = {each.name: (1, *each.shape[1:]) for each in self._session.get_inputs()}
        self._types = {each.name: _numpy_type(each.type) for each in self._session.get_inputs()}

    def __call__(self, inputs: Inputs) -> Any:
        """Run a batch: an array, or several in a list or by name.

        Returns:
            The float output, or a list of them in the order of the Keras outputs.
        """
        arrays = arrange(inputs, self._shapes, "the ONNX model")
        found = self._session.run(
            None, {name: np.asarray(array, self._types[name]) for name, array in arrays.items()}
        )
        return found[0] if len(found) == 1 else found


def _numpy_type(name: str) -> np.dtype[Any]:
    """Read the runtime's name of a type, such as `tensor(float)`."""
    inner = name.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(inner, inner))

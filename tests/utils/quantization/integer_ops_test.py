"""The integer kernels against TensorFlow Lite's reference kernels, bit for bit."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from utils.export.flatbuffer import FileGraph, Operator, read_graph
from utils.export.tflite import convert
from utils.graph.row import Window
from utils.quantization import integer_ops as integers
from utils.quantization.integer_ops import Format, Kernel


class _Run:
    """A file run on reference kernels, all tensors kept."""

    def __init__(self, content: bytes, sample: np.ndarray) -> None:
        self.graph: FileGraph = read_graph(content)
        self._interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        )
        self._interpreter.allocate_tensors()
        detail = self._interpreter.get_input_details()[0]
        self._interpreter.set_tensor(detail["index"], sample)
        self._interpreter.invoke()

    def values(self, index: int) -> np.ndarray:
        return self._interpreter.get_tensor(index)

    def format(self, index: int) -> Format:
        tensor = self.graph.tensors[index]
        return Format(scale=float(tensor.scale[0]), zero_point=int(tensor.zero_point[0]))

    def kernel(self, operator: Operator, *, depthwise: bool = False) -> Kernel:
        _, weights, bias = operator.inputs
        array = self.values(weights)
        order = {4: (1, 2, 0, 3) if depthwise else (1, 2, 3, 0), 2: (1, 0)}[array.ndim]
        array = array.transpose(order)
        if depthwise:
            array = array.transpose(0, 1, 3, 2)  # [h, w, c, 1]
        return Kernel(
            weights=array,
            scales=self.graph.tensors[weights].scale,
            bias=self.values(bias),
            is_depthwise=depthwise,
        )

    def operators(self, name: str) -> list[Operator]:
        return [each for each in self.graph.operators if each.name == name]


@pytest.fixture(scope="module")
def run() -> _Run:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = layers.Input((9, 9, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = layers.Add()([x, y])
    x = layers.Conv2D(8, 1, use_bias=False)(x)
    y = layers.AveragePooling2D(2, strides=1, padding="same")(x)
    x = layers.MaxPooling2D(2, strides=1, padding="same")(x)
    x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(5)(x))
    for weight in model.weights:
        weight.assign(np.random.default_rng(len(weight.path)).normal(size=weight.shape))
    rng = np.random.default_rng(1)
    samples = rng.normal(size=(20, 9, 9, 3)).astype(np.float32)
    content = convert(model, "int8", [samples])
    return _Run(content, rng.integers(-128, 128, (1, 9, 9, 3), np.int8))


def test_convolutions_are_those_of_the_reference_kernels(run: _Run) -> None:
    first, second = run.operators("CONV_2D")
    for operator, window, activation in (
        (first, Window((3, 3), (2, 2), same=True), "relu"),
        (second, Window((1, 1)), None),
    ):
        found = integers.convolution(
            run.values(operator.inputs[0]),
            run.kernel(operator),
            run.format(operator.inputs[0]),
            run.format(operator.outputs[0]),
            window,
            activation=activation,
        )
        assert np.unique(found).size > 20
        np.testing.assert_array_equal(found, run.values(operator.outputs[0]))


def test_depthwise_is_that_of_the_reference_kernel(run: _Run) -> None:
    (operator,) = run.operators("DEPTHWISE_CONV_2D")
    found = integers.convolution(
        run.values(operator.inputs[0]),
        run.kernel(operator, depthwise=True),
        run.format(operator.inputs[0]),
        run.format(operator.outputs[0]),
        Window((3, 3), same=True),
        activation="relu6",
    )
    assert np.unique(found).size > 20
    np.testing.assert_array_equal(found, run.values(operator.outputs[0]))


def test_sums_are_those_of_the_reference_kernel(run: _Run) -> None:
    for operator in run.operators("ADD"):
        left, right = operator.inputs
        found = integers.add(
            run.values(left),
            run.values(right),
            (run.format(left), run.format(right)),
            run.format(operator.outputs[0]),
        )
        np.testing.assert_array_equal(found, run.values(operator.outputs[0]))


def test_average_pools_are_those_of_the_reference_kernel(run: _Run) -> None:
    (operator,) = run.operators("AVERAGE_POOL_2D")
    found = integers.average_pool(run.values(operator.inputs[0]), (2, 2), (1, 1), same=True)
    np.testing.assert_array_equal(found, run.values(operator.outputs[0]))


def test_mean_and_dense_are_those_of_the_reference_kernels(run: _Run) -> None:
    (operator,) = run.operators("MEAN")
    source, target = operator.inputs[0], operator.outputs[0]
    found = integers.mean(run.values(source), run.format(source), run.format(target))
    np.testing.assert_array_equal(found, run.values(target))
    (operator,) = run.operators("FULLY_CONNECTED")
    source, target = operator.inputs[0], operator.outputs[0]
    found = integers.dense(
        run.values(source), run.kernel(operator), run.format(source), run.format(target)
    )
    np.testing.assert_array_equal(found, run.values(target))


def test_values_beyond_the_ends_are_clipped_and_zero_is_exact() -> None:
    form = Format(scale=0.5, zero_point=-3)
    encoded = form.encode(np.array([-1e9, 0.0, 0.24, 0.25, -0.25, 1e9]))
    assert encoded.tolist() == [-128, -3, -3, -2, -4, 127]
    assert form.decode(encoded)[1] == 0.0
    with pytest.raises(ValueError, match="no part of an integer kernel"):
        form.limits("gelu")

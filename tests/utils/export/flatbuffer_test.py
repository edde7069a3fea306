import keras
import numpy as np

from utils.export.flatbuffer import read_graph
from utils.export.tflite import convert


def test_operators_and_quantization(contents):
    graph = read_graph(contents["int8"])
    names = [operator.name for operator in graph.operators]
    assert names.count("CONV_2D") == 3
    assert {"ADD", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED"} <= set(names)
    assert list(graph.inputs) == ["images"]
    convolution = graph.operators[names.index("CONV_2D")]
    activation, kernel = (graph.tensors[index] for index in convolution.inputs[:2])
    assert not activation.constant and activation.dtype == "int8" and len(activation.scale) == 1
    assert kernel.constant and kernel.dtype == "int8" and len(kernel.scale) == 12  # per channel


def test_operators_follow_their_inputs(contents):
    graph = read_graph(contents["float32"])
    known = set(graph.inputs.values())
    known |= {index for index, tensor in enumerate(graph.tensors) if tensor.constant}
    for operator in graph.operators:
        assert set(operator.inputs) <= known
        known |= set(operator.outputs)
    assert set(graph.outputs.values()) <= known


def test_kinds(contents):
    assert {kind: read_graph(content).kind() for kind, content in contents.items()} == {
        kind: kind for kind in contents
    }


def test_float_operators(contents):
    assert read_graph(contents["int8"]).float_operators() == ()
    assert len(read_graph(contents["dynamic"]).float_operators()) >= 6


def test_names_what_stays_in_float():
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    model = keras.Model(inputs, keras.layers.LayerNormalization()(x))
    samples = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype(np.float32)
    graph = read_graph(convert(model, "int8", [samples]))
    assert graph.kind() == "int8"
    assert graph.float_operators() == ("NEG",)


def test_outputs_are_in_the_order_of_keras():
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(index + 1)(inputs) for index in range(12)]
    graph = read_graph(convert(keras.Model(inputs, outputs), "float32"))
    assert list(graph.outputs) == [f"output_{index}" for index in range(12)]

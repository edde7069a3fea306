"""What int8 needs around ops without weights; the file itself is tried in fake_quant_graph_test."""

import keras
import pytest
from keras import layers

from utils.graph import from_keras, ops
from utils.graph.integer_kernels import POINTWISE


def form_of(layer):
    inputs = keras.Input((4, 4, 3))
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    node = graph.nodes[-1]
    return ops.TABLE[node.op].integers(node)


@pytest.mark.parametrize(
    ("layer", "output"),
    [
        (lambda x: layers.MaxPooling2D()(x), "same"),
        (lambda x: layers.AveragePooling2D(2)(x), "same"),
        (lambda x: layers.GlobalAveragePooling2D()(x), "own"),
        (lambda x: layers.Dropout(0.1)(x), "same"),
        (lambda x: keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [1, 1]]), "same"),
        (lambda x: x[:, ::2], "same"),
        (lambda x: keras.ops.image.resize(x, (8, 8)), "same"),
        (lambda x: layers.LeakyReLU()(x), "own"),
        (lambda x: layers.ReLU(negative_slope=0.1)(x), "own"),
    ],
)
def test_outputs(layer, output) -> None:
    found = form_of(layer)
    assert found.output == output and not found.is_relu and found.fixed is None


@pytest.mark.parametrize(
    "layer", [lambda x: layers.ReLU()(x), lambda x: layers.ReLU(6.0)(x), keras.ops.relu]
)
def test_relus(layer) -> None:
    assert form_of(layer).is_relu


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: layers.ReLU(5.0)(x),
        lambda x: layers.ReLU(threshold=1.0)(x),
        lambda x: layers.Softmax(axis=1)(x),
        lambda x: keras.ops.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]], constant_values=1.0),
        lambda x: layers.MaxPooling2D(2, data_format="channels_first")(x),
        lambda x: layers.Activation("elu")(x),
    ],
)
def test_what_has_no_int8_kernel(layer) -> None:
    assert form_of(layer) is None


def test_every_rule_belongs_to_a_row() -> None:
    assert all(ops.TABLE[path].integers is rule for path, rule in POINTWISE.items())

"""Layers with kernels: which activations mix channels, how a layer reads its input as rows."""

import keras
import pytest
from keras import layers

from utils.graph import from_keras, ops
from utils.graph.ops_weighted import is_elementwise
from utils.graph.row import Window


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (None, True),
        ("gelu", True),
        ("softmax", False),
        ({"class_name": "function", "module": "builtins", "config": "relu"}, True),
        ({"class_name": "function", "module": "mine", "config": "relu"}, False),
        ({"class_name": "ReLU", "module": "keras.layers", "config": {}}, True),
        ({"class_name": "Softmax", "module": "keras.layers", "config": {}}, False),
        (3, False),
    ],
)
def test_which_activations_treat_channels_alone(activation, expected):
    assert is_elementwise(activation) is expected


@pytest.mark.parametrize(
    ("layer", "window"),
    [
        (layers.Conv2D(4, (3, 2), strides=2), Window((3, 2), (2, 2))),
        (
            layers.Conv2D(4, 3, padding="same", dilation_rate=2),
            Window((3, 3), (1, 1), (2, 2), True),
        ),
        (layers.Dense(4), Window()),
        (layers.Conv2D(4, 3, groups=2), None),
        (layers.Conv2D(4, 3, data_format="channels_first"), None),
        (layers.DepthwiseConv2D(3), None),
        (layers.SeparableConv2D(4, 3), None),
        (layers.Conv2DTranspose(4, 3), None),
    ],
)
def test_which_layers_are_a_product_of_rows_and_kernel(layer, window):
    inputs = keras.Input((8, 8, 4))
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    node = graph.nodes[-1]
    rule = ops.find(graph, node).window
    assert (None if rule is None else rule(node.attrs)) == window

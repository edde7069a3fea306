import keras
import numpy as np
import pytest
from keras import layers

from learners.kernels.layers import kernel_layers, layers_by_node, without_skipped
from learners.reconstruction.readings import find_readings
from tests.learners import networks
from utils.errors import InputError
from utils.graph import from_keras


def found(model):
    graph = from_keras(model)
    return graph, kernel_layers(graph)


@pytest.mark.parametrize(
    "build",
    [
        networks.residual,
        networks.depthwise,
        networks.transposed,
        networks.recurrent,
        networks.grouped,
        networks.layers_inside,
    ],
)
def test_a_matrix_goes_back_to_the_same_weights(build):
    graph, kernels = found(build())
    assert kernels
    for layer in kernels:
        matrix = layer.matrix(graph.params)
        assert matrix.shape == (layer.num_rows, layer.num_outputs)
        assert matrix.size == layer.size
        assert layer.num_rows % layer.num_channels == 0
        for (name, weight), array in layer.tensors(matrix).items():
            np.testing.assert_array_equal(array, graph.params[name][weight])


def test_rows_and_columns_are_those_of_the_walk():
    graph, kernels = found(networks.recurrent())
    by_node = {(la.node, la.weights): la for la in kernels}
    readings = list(find_readings(graph, [node.name for node in graph.nodes], compensate=False))
    assert readings
    for reading in readings:
        layer = by_node[reading.name, reading.kernels]
        np.testing.assert_array_equal(layer.matrix(graph.params), reading.item.kernel)


def test_columns_are_outputs_whatever_the_layer():
    inputs = keras.Input((8, 8, 4))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depth")(inputs)
    x = layers.SeparableConv2D(6, 3, name="both")(x)
    x = layers.Conv2DTranspose(5, 2, name="up")(x)
    model = keras.Model(inputs, x)
    graph, kernels = found(model)
    shapes = {la.name: (la.num_rows, la.num_outputs, la.num_channels) for la in kernels}
    assert shapes == {
        "depth": (9, 8, 1),
        "both/depthwise_kernel": (9, 8, 1),
        "both/pointwise_kernel": (8, 6, 8),
        "up": (24, 5, 6),
    }
    up = next(la for la in kernels if la.name == "up")
    kernel = graph.params["up"]["kernel"]  # [2, 2, out, in]
    np.testing.assert_array_equal(up.matrix(graph.params)[:, 3], kernel[:, :, 3].ravel())


def test_a_layer_that_is_called_twice_is_listed_once():
    inputs = keras.Input((6,))
    shared = layers.Dense(6, name="shared")
    _, kernels = found(keras.Model(inputs, shared(shared(inputs))))
    assert [la.name for la in kernels] == ["shared"]


def test_first_last_and_parts_are_left_out_with_their_reasons():
    _, kernels = found(networks.vgg())
    left, reasons = without_skipped(
        kernels, first="--a", last="--b", parts=("conv3",), source="--c"
    )
    assert [la.name for la in left] == ["conv2", "fc1"]
    assert reasons == {"conv1": "--a", "conv3": "--c", "fc2": "--b"}


def test_a_part_in_no_name_is_refused():
    with pytest.raises(InputError, match="--c: no layer with a kernel has 'nowhere'"):
        without_skipped(found(networks.vgg())[1], parts=("nowhere",), source="--c")


def test_kernels_of_one_node_stand_together():
    _, kernels = found(networks.recurrent())
    groups = layers_by_node(kernels)
    assert [layer for own in groups.values() for layer in own] == list(kernels)
    assert all({layer.node for layer in own} == {node} for node, own in groups.items())
    assert max(map(len, groups.values())) > 1

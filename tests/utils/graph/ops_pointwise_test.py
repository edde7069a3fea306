"""Element-wise rows: the map that batch norm is; activations under their names."""

import keras
import numpy as np
import pytest
from keras import layers

from utils.graph import from_keras, ops
from utils.graph.ops_pointwise import scale_and_shift


@pytest.mark.parametrize(("scale", "center"), [(True, True), (False, True), (True, False)])
def test_batch_norm_is_its_scale_and_shift(scale, center):
    rng = np.random.default_rng(0)
    norm = layers.BatchNormalization(scale=scale, center=center, epsilon=1e-2)
    inputs = keras.Input((5,))
    model = keras.Model(inputs, norm(inputs))
    for variable in norm.weights:
        variable.assign(rng.uniform(0.5, 2.0, variable.shape))
    graph = from_keras(model)
    node = graph.nodes[-1]
    factor, shift = ops.find(graph, node).affine(graph.params[node.layer], node.attrs)
    x = rng.normal(size=(7, 5)).astype(np.float32)
    np.testing.assert_allclose(model(x, training=False), factor * x + shift, rtol=1e-5, atol=1e-6)


def test_scale_and_shift():
    arrays = {"moving_mean": np.array([1.0]), "moving_variance": np.array([3.0])}
    scale, shift = scale_and_shift({**arrays, "gamma": np.array([4.0])}, {"epsilon": 1.0})
    assert (scale, shift) == ([2.0], [-2.0])
    scale, shift = scale_and_shift({**arrays, "beta": np.array([1.0])}, {"epsilon": 1.0})
    assert (scale, shift) == ([0.5], [0.5])


def rows_with_activation():
    return sorted(path for path, row in ops.TABLE.items() if row.activation and ".ops." in path)


@pytest.mark.parametrize("path", rows_with_activation())
def test_operations_do_what_the_activation_of_their_name_does(path):
    module, _, name = path.rpartition(".")
    operation = getattr(__import__(module, fromlist=[name]), name)()
    activation = ops.TABLE[path].activation({})
    x = np.linspace(-7, 7, 29, dtype=np.float32)
    wanted = keras.activations.get(activation)(x)
    np.testing.assert_allclose(operation(x), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "activation"),
    [
        (layers.ReLU(), "relu"),
        (layers.ReLU(max_value=6.0), "relu6"),
        (layers.ReLU(negative_slope=0.1), None),
        (layers.ReLU(max_value=3.0), None),
        (layers.Activation("tanh"), "tanh"),
        (layers.Activation("softmax"), None),
    ],
)
def test_layers_that_are_an_activation(layer, activation):
    inputs = keras.Input((5,))
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    node = graph.nodes[-1]
    assert ops.find(graph, node).activation(node.attrs) == activation


@pytest.mark.parametrize("sums", [layers.Add(), lambda pair: pair[0] + pair[1]])
def test_sums_say_so(sums):
    a, b = keras.Input((5,)), keras.Input((5,))
    graph = from_keras(keras.Model([a, b], sums([a, b])))
    assert ops.find(graph, graph.nodes[-1]).adds
    graph = from_keras(keras.Model([a, b], layers.Maximum()([a, b])))
    assert not ops.find(graph, graph.nodes[-1]).adds

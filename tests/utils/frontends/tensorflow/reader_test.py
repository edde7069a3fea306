"""TensorFlow's networks as Keras networks: our own files, slim's style, those that are refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from tests.utils.frontends.tensorflow.graphs import drawn, frozen
from utils.errors import InputError
from utils.export.frozen_graph import frozen_graph
from utils.export.saved_model import write_saved_model
from utils.frontends import folded, parity, running
from utils.frontends.tensorflow.reader import convert
from utils.graph import channel_groups, from_keras


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="bn")(x))
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.Conv2D(6, 1, activation="relu", name="mixed")(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="fc")(keras.layers.Flatten()(x)))


IMAGES = drawn(1)(3, 8, 8, 3)


@pytest.mark.parametrize("kind", ["frozen", "static batch", "open batch"])
def test_our_own_files_come_back(network, tmp_path, kind, capfd):
    path = tmp_path / "net"
    if kind == "frozen":
        path.write_bytes(frozen_graph(network))
    elif kind == "static batch":
        write_saved_model(network, path)
    else:
        network.export(path, verbose=False)
    model = convert(str(path)).model
    np.testing.assert_allclose(model(IMAGES), network(IMAGES), atol=1e-5)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Conv2D", "BatchNormalization", "ReLU", "DepthwiseConv2D",
                     "Conv2D", "ReLU", "Flatten", "Dense"]  # fmt: skip
    groups = [group for group in channel_groups(from_keras(model)) if group.prunable]
    assert len(groups) == 2  # it can be cut like the network it was made from


def slim_resnet(x):
    """A ResNet as slim writes it: fixed padding, fused batch norm, strided by a maximum."""
    tf1 = tf.compat.v1

    def conv(x, width, size, stride, name, relu=True):
        with tf1.variable_scope(name):
            kernel = tf1.get_variable("weights", (size, size, x.shape[-1], width))
            if stride > 1:
                x = tf.pad(x, [[0, 0], [size // 2] * 2, [size // 2] * 2, [0, 0]])
            x = tf.nn.conv2d(x, kernel, stride, "SAME" if stride == 1 else "VALID")
            with tf1.variable_scope("BatchNorm"):
                drawn_from = tf1.random_uniform_initializer(0.5, 1.5)
                parts = [
                    tf1.get_variable(part, (width,), initializer=drawn_from)
                    for part in ("gamma", "beta", "mean", "variance")
                ]
            x = tf1.nn.fused_batch_norm(x, *parts, epsilon=1e-5, is_training=False)[0]
        return tf.nn.relu(x) if relu else x

    def unit(x, width, stride, name):
        with tf1.variable_scope(name):
            source = tf.nn.max_pool2d(x, 1, stride, "SAME") if stride > 1 else x
            if x.shape[-1] != width:
                source = conv(x, width, 1, stride, "shortcut", relu=False)
            y = conv(x, width // 2, 1, 1, "conv1")
            y = conv(y, width // 2, 3, stride, "conv2")
            return tf.nn.relu(source + conv(y, width, 1, 1, "conv3", relu=False))

    x = tf.nn.max_pool2d(conv(x, 8, 7, 2, "conv1"), 3, 2, "SAME")
    x = unit(unit(unit(x, 16, 1, "block1_1"), 16, 2, "block1_2"), 32, 2, "block2_1")
    x = tf.reduce_mean(x, (1, 2), keepdims=True)
    with tf1.variable_scope("logits"):
        x = tf.nn.conv2d(x, tf1.get_variable("weights", (1, 1, 32, 5)), 1, "SAME")
        x = tf.nn.bias_add(x, tf1.get_variable("biases", (5,)))
    return tf.nn.softmax(tf.squeeze(x, (1, 2)), name="predictions")


def test_a_resnet_of_slim(tmp_path):
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.set_random_seed(0)
        x = tf.compat.v1.placeholder(tf.float32, (None, 32, 32, 3), "images")
        slim_resnet(x)
        session.run(tf.compat.v1.global_variables_initializer())
        definition = convert_to_constants.convert_variables_to_constants_from_session_graph(
            session, graph.as_graph_def(), ["predictions"]
        )
    path = tmp_path / "slim.pb"
    path.write_bytes(definition.SerializeToString())
    converted = convert(str(path))
    assert parity.against_source(converted, running.tensorflow(str(path)), seed=0) < 1e-5
    assert list(converted.output_orders) == ["predictions"]
    kinds = [type(layer).__name__ for layer in converted.model.layers]
    assert kinds.count("BatchNormalization") == 12 and "block1_1_conv1_Conv2D" in [
        layer.name for layer in converted.model.layers]  # fmt: skip
    assert not [kind for kind in kinds if kind in ("Permute", "Multiply", "Identity")]


def written(function, path):
    """Write what a function makes of a placeholder `x` [n, 4], with no outputs named."""
    with tf.Graph().as_default() as graph:
        function(tf.compat.v1.placeholder(tf.float32, (None, 4), "x"))
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return str(path)


def test_all_outputs_of_a_last_node(tmp_path):
    path = written(lambda x: tf.split(x, 2, 1, name="parts"), tmp_path / "net.pb")
    converted = convert(path)
    assert list(converted.output_orders) == ["parts", "parts:1"]
    assert parity.against_source(converted, running.tensorflow(path), seed=0) == 0


def test_a_name_like_that_of_an_output_may_be_inside(tmp_path):
    path = written(lambda x: tf.nn.relu(tf.exp(x, name="output"), name="last"), tmp_path / "net.pb")
    converted = convert(path)
    assert list(converted.output_orders) == ["last"]
    assert parity.against_source(converted, running.tensorflow(path), seed=0) < 1e-6


def test_a_last_batch_normalization_has_one_output(tmp_path):
    def norm(x):
        x = tf.reshape(x, (-1, 2, 2, 1))
        tf.compat.v1.nn.fused_batch_norm(x, *[[0.5]] * 4, is_training=False, name="norm")

    assert list(convert(written(norm, tmp_path / "net.pb")).output_orders) == ["norm"]


def test_constants_that_grow_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folded, "MIN_ALLOWANCE_BYTES", 0)
    path = written(lambda x: x + tf.tile(tf.ones((1, 4)), (999, 1)), tmp_path / "net.pb")
    with pytest.raises(InputError, match=r"net\.pb: .*takes more than 192 bytes, .* \(Tile\)"):
        convert(path)


def test_sizes_that_are_open(tmp_path):
    path = tmp_path / "net.pb"
    path.write_bytes(frozen(lambda x: [tf.reshape(x, (-1, 12))], (None, None, None, 3)))
    model = convert(str(path), input_shape="-1,2,2,3").model
    assert model.input_shape == (None, 2, 2, 3) and model.output_shape == (None, 12)
    path.write_bytes(frozen(lambda x: [tf.nn.relu(x)], None))
    with pytest.raises(InputError, match=r"'in0' has no known shape. Give the input's size with"):
        convert(str(path))
    assert convert(str(path), input_shape="-1,4").model.output_shape == (None, 4)


def test_a_graph_that_is_not_frozen(tmp_path):
    variable = tf.Variable(np.ones((4, 2), np.float32))
    run = tf.function(lambda x: tf.matmul(x, variable))
    definition = run.get_concrete_function(tf.TensorSpec((1, 4))).graph.as_graph_def()
    path = tmp_path / "net.pb"
    path.write_bytes(definition.SerializeToString())
    with pytest.raises(InputError, match=r"net.pb"):
        convert(str(path))


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"there is no file or folder 'gone.pb'"):
        convert("gone.pb")
    with pytest.raises(InputError, match=r"holds no saved_model.pb: it is no SavedModel"):
        convert(str(tmp_path))

"""TFLite's operators against LiteRT's interpreter, in one file with all of them."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from utils.frontends import parity, running
from utils.frontends.source import ConversionError
from utils.frontends.tflite.file import parse
from utils.frontends.tflite.operators import OPERATORS, settings
from utils.frontends.tflite.reader import convert


def operators(x):
    """Give the outputs of a network with many operators."""
    draw = np.random.default_rng(0)
    w = lambda *shape: draw.normal(size=shape).astype(np.float32)  # noqa: E731
    y = tf.nn.relu6(tf.nn.conv2d(x, w(3, 3, 4, 8), 2, "SAME") + w(8))
    z = tf.nn.depthwise_conv2d(y, w(3, 3, 8, 2), (1, 1, 1, 1), "VALID", dilations=(1, 1))
    up = tf.nn.conv2d_transpose(y, w(3, 3, 5, 8), (1, 8, 8, 5), 2, "SAME")
    flat = tf.matmul(tf.reshape(y, (1, -1)), w(128, 6)) + w(6)
    first, second = tf.split(z, 2, -1)
    heads = tf.reshape(y, (1, 16, 8))
    return [
        tf.nn.leaky_relu(z, 0.3) * tf.nn.sigmoid(z),
        tf.nn.max_pool2d(up, 3, 2, "SAME") - tf.nn.avg_pool2d(up, 3, 2, "SAME"),
        tf.nn.softmax(flat),
        tf.nn.log_softmax(flat),
        tf.concat([first, tf.tanh(second)], -1),
        tf.pad(up, [[0, 0], [1, 2], [0, 1], [3, 0]]),
        tf.pad(up, [[0, 0], [1, 2], [0, 1], [0, 0]], mode="SYMMETRIC"),
        tf.image.resize(y, (9, 6)),
        tf.compat.v1.image.resize_bilinear(y, (7, 9), align_corners=True),
        tf.compat.v1.image.resize_nearest_neighbor(y, (8, 8)),
        tf.nn.depth_to_space(y, 2),
        tf.nn.space_to_depth(up, 2),
        tf.transpose(up, (0, 3, 1, 2))[:, 1:4:2, ::-1],
        tf.gather(up, [4, 0], axis=3),
        tf.unstack(y, axis=1)[2],
        tf.stack([first, second], 1),
        tf.matmul(heads, heads, transpose_b=True),
        tf.reduce_mean(y, (1, 2)),
        tf.reduce_sum(y, -1) + tf.reduce_max(y, -1) - tf.reduce_min(y, -1),
        tf.math.squared_difference(first, second) / (tf.abs(second) + 1.0),
        tf.where(first > second, tf.exp(first), tf.math.rsqrt(second * second + 1.0)),
        tf.nn.elu(up) + tf.nn.gelu(up) + tf.maximum(up, 0.5) + tf.nn.swish(up),
        tf.tile(tf.expand_dims(flat, 1), (1, 3, 1)),
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    run = tf.function(operators)
    made = run.get_concrete_function(tf.TensorSpec((1, 8, 8, 4)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([made])
    target = tmp_path_factory.mktemp("tflite") / "many.tflite"
    target.write_bytes(converter.convert())
    return str(target)


def test_all_of_them(path):
    converted = convert(path)
    assert converted.model.input_shape == (None, 8, 8, 4) and not converted.notes
    inputs = parity.random_inputs(converted, seed=1)
    made, wanted = parity.outputs(converted, inputs), running.tflite(path)(inputs)
    found = {name: parity.distance(made[name], wanted[name]) for name in wanted}
    assert max(found.values()) < 1e-4, found


def test_every_operator_has_its_counterpart(path):
    used = {each.name for each in parse(pathlib.Path(path).read_bytes()).operators}
    known = {*OPERATORS.functions, *OPERATORS.folds}
    assert len(used) > 35 and used <= known
    assert all(hasattr(schema.BuiltinOperator, name) for name in known)


def test_what_is_not_understood_is_named(tmp_path):
    from tests.utils.frontends.tflite.tiny import tensor, write

    tensors = [tensor(name, (1, 4)) for name in "xhy"]
    file = tmp_path / "own.tflite"
    work = [("MyOwn", [0], [1], None), ("LSTM", [1], [2], None)]
    file.write_bytes(write(tensors, [], work))
    with pytest.raises(
        ConversionError, match=r"(?s)2 nodes.*'h' \(custom MyOwn\).*'y' \(LSTM\)"
    ) as e:
        convert(str(file))
    assert [each.op for each in e.value.offenders] == ["custom MyOwn", "LSTM"]


def test_names_of_settings():
    found = settings({"strideH": 2, "strideW": 1, "padding": 0, "fusedActivationFunction": 3})
    assert found["strides"] == (2, 1) and found["padding"] == "same"
    assert found["activation"] == "relu6"
    assert settings({"fusedActivationFunction": 77})["activation"] == "number 77"

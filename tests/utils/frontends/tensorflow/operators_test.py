"""TensorFlow's operations against TensorFlow, many in one graph."""

import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.tensorflow.graphs import drawn, frozen
from utils.frontends import parity, running
from utils.frontends.source import ConversionError
from utils.frontends.tensorflow.operators import FOLDING, operators, settings
from utils.frontends.tensorflow.reader import convert, read

W = drawn()
K, B = W(3, 3, 3, 8), W(8)
D, T, P = W(3, 3, 3, 2), W(3, 3, 5, 3), W(8, 6)


def images(x):
    y = tf.nn.bias_add(tf.nn.conv2d(x, K, 2, "SAME"), B)
    return [
        tf.nn.relu6(y),
        tf.nn.conv2d(x, K, 1, "VALID", dilations=2) + 1.0,
        tf.nn.conv2d(x, K, 2, [[0, 0], [1, 2], [0, 1], [0, 0]]),
        tf.nn.depthwise_conv2d(x, D, (1, 2, 2, 1), "SAME"),
        tf.nn.depthwise_conv2d(x, D, (1, 1, 1, 1), "SAME", dilations=(2, 2)),  # moves pixels
        tf.nn.conv2d_transpose(x, T, (2, 16, 16, 5), 2, "SAME"),
        tf.nn.max_pool2d(y, 3, 2, "SAME") - tf.nn.avg_pool2d(y, 3, 2, "SAME"),
        tf.nn.leaky_relu(y, 0.3) + tf.nn.elu(y) + tf.nn.selu(y) + tf.nn.silu(y),
        tf.nn.gelu(y) + tf.nn.softplus(y) + tf.clip_by_value(y, -0.5, 0.7) + tf.math.erf(y),
        tf.compat.v1.nn.fused_batch_norm(y, B, B, B, np.abs(B), is_training=False)[0],
        tf.nn.depth_to_space(y, 2),
        tf.nn.space_to_depth(x, 2),
        tf.image.resize(y, (9, 6)),
        tf.reduce_mean(y, (1, 2)),
        tf.reshape(y, (tf.shape(y)[0], -1)),
        tf.matmul(tf.reduce_max(y, (1, 2)), P) + W(6),
        tf.nn.softmax(tf.einsum("bhwc,cd->bhwd", y, P)),
        tf.nn.log_softmax(y),
        tf.where(y > 0.0, y, tf.math.divide_no_nan(1.0, tf.nn.relu(y))),
        tf.concat([y, y * 2.0, tf.square(y)], -1),
        tf.stack(tf.split(y, [3, 5], -1)[:1] * 2, 1),
        tf.pad(y, [[0, 0], [1, 2], [0, 1], [0, 0]], mode="REFLECT"),
        tf.transpose(y, (0, 3, 1, 2))[:, 1:, ::-1, -1],
        tf.gather(y, [2, 0], axis=3) + tf.one_hot([1, 0, 1, 0], 2),
    ]


def test_images(tmp_path):
    path = tmp_path / "net.pb"
    path.write_bytes(frozen(images, (2, 8, 8, 3)))
    converted = convert(str(path))
    inputs = {"in0": W(2, 8, 8, 3)}
    made, wanted = parity.outputs(converted, inputs), running.tensorflow(str(path))(inputs)
    found = {name: parity.distance(made[name], wanted[name]) for name in wanted}
    assert max(found.values()) < 1e-4, found
    used = {node.op for node in read(str(path)).nodes}
    assert {"SpaceToBatchND", "FusedBatchNormV3", "Conv2DBackpropInput", "Einsum"} <= used


def test_channels_in_front_become_last(tmp_path):
    def first(x):
        y = tf.nn.conv2d(x, K, 1, "SAME", data_format="NCHW")
        y = tf.nn.relu(tf.nn.bias_add(y, B, data_format="NCHW"))
        y = tf.nn.max_pool2d(y, 2, 2, "SAME", data_format="NCHW")
        return [tf.matmul(tf.reshape(y, (-1, 8 * 4 * 3)), WIDE)]

    def last(x):  # the CPU has no convolution of the other kind
        y = tf.nn.relu(tf.nn.conv2d(tf.transpose(x, (0, 2, 3, 1)), K, 1, "SAME") + B)
        y = tf.transpose(tf.nn.max_pool2d(y, 2, 2, "SAME"), (0, 3, 1, 2))
        return tf.matmul(tf.reshape(y, (-1, 8 * 4 * 3)), WIDE)

    path = tmp_path / "net.pb"
    path.write_bytes(frozen(first, (None, 3, 8, 6)))
    converted = convert(str(path))
    assert converted.input_orders == {"in0": (0, 2, 3, 1)}
    assert [type(layer).__name__ for layer in converted.model.layers] == [
        "InputLayer", "Conv2D", "ReLU", "MaxPooling2D", "Flatten", "Dense"]  # fmt: skip
    x = W(2, 3, 8, 6)
    made = parity.outputs(converted, {"in0": x})["output"]
    np.testing.assert_allclose(made, last(x), rtol=1e-4, atol=1e-4)


WIDE = W(96, 5)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: [tf.compat.v1.nn.fused_batch_norm(x, B[:3], B[:3], is_training=True)[0]],
         r"\(FusedBatchNormV3\): computes its statistics from the batch"),
        (lambda x: [tf.signal.fft(tf.cast(x, tf.complex64))], r"\(FFT\): there is no Keras"),
        (lambda x: [tf.nn.conv2d(x, tf.tile(x[0][..., None], (1, 1, 1, 2)), 1, "SAME")],
         "takes|batch|is computed"),
        (lambda x: [tf.reverse(x, [0])], "turns round the batch"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(tmp_path, function, words):
    path = tmp_path / "net.pb"
    path.write_bytes(frozen(function, (None, 3, 3, 3)))
    with pytest.raises(ConversionError, match=words):
        convert(str(path))


def test_what_follows_a_layer_channel_by_channel_becomes_part_of_it(tmp_path):
    scale, shift = W(8), W(8)
    path = tmp_path / "net.pb"

    def folded(x):
        y = tf.nn.relu((tf.nn.conv2d(x, K, 1, "SAME") + B) * scale - shift)
        return [tf.matmul(tf.reduce_mean(y, (1, 2)), P) * W(6) + W(6)]

    path.write_bytes(frozen(folded, (None, 6, 6, 3)))
    converted = convert(str(path))
    kinds = [type(layer).__name__ for layer in converted.model.layers]
    assert kinds == ["InputLayer", "Conv2D", "ReLU", "GlobalAveragePooling2D", "Dense"]
    assert parity.against_source(converted, running.tensorflow(str(path)), seed=0) < 1e-5


def test_names_of_settings():
    attrs = {"strides": [1, 1, 2, 3], "padding": "EXPLICIT", "data_format": "NCHW",
             "explicit_paddings": [0, 0, 0, 0, 1, 2, 3, 4]}  # fmt: skip
    found = settings("Conv2D", attrs)
    assert found["strides"] == (2, 3) and found["channel_axis"] == 1
    assert found["padding"] == ((1, 2), (3, 4))
    assert settings("MaxPool", {"padding": "SAME", "ksize": [1, 2, 3, 1]})["size"] == (2, 3)
    assert settings("Mean", {"keep_dims": True})["keepdims"] is True


def test_the_tables_speak_of_operations_that_exist():
    from tensorflow.python.framework import op_def_registry

    from utils.frontends.tensorflow.norms import BATCH_NORM

    known = {*operators(False).functions, *FOLDING} - {BATCH_NORM}
    assert [name for name in known if op_def_registry.get(name) is None] == []
    assert operators(True).spatial and not operators(False).spatial

import numpy as np
import pytest
import tensorflow as tf

from utils.errors import InputError
from utils.legacy_keras.operators import _SAME, _TABLE, operator

X = np.random.default_rng(0).normal(size=(2, 1, 4, 3)).astype(np.float32)

# What TensorFlow itself computes: name in a file, arguments as the file has them.
CASES = [
    ("__operators__.add", {"y": 2.0}, lambda: X + 2),
    ("cast", {"dtype": "int32"}, lambda: tf.cast(X, "int32")),
    ("clip_by_value", {"clip_value_min": -0.5, "clip_value_max": 0.5},
     lambda: tf.clip_by_value(X, -0.5, 0.5)),
    ("expand_dims", {"axis": 1}, lambda: tf.expand_dims(X, 1)),
    ("image.resize", {"size": [6, 8], "method": "bilinear"}, lambda: tf.image.resize(X, [6, 8])),
    ("math.abs", {}, lambda: tf.abs(X)),
    ("math.add", {"y": X}, lambda: tf.add(X, X)),
    ("math.divide", {"y": 3.0}, lambda: tf.divide(X, 3.0)),
    ("math.exp", {}, lambda: tf.exp(X)),
    ("math.maximum", {"y": 0.1}, lambda: tf.maximum(X, 0.1)),
    ("math.minimum", {"y": 0.1}, lambda: tf.minimum(X, 0.1)),
    ("math.multiply", {"y": 3.0}, lambda: tf.multiply(X, 3.0)),
    ("math.negative", {}, lambda: -X),
    ("math.pow", {"y": 2.0}, lambda: tf.pow(X, 2.0)),
    ("math.reduce_max", {"axis": [1, 2]}, lambda: tf.reduce_max(X, [1, 2])),
    ("math.reduce_mean", {"axis": [1, 2], "keepdims": True},
     lambda: tf.reduce_mean(X, [1, 2], keepdims=True)),
    ("math.reduce_min", {"axis": -2}, lambda: tf.reduce_min(X, -2)),
    ("math.reduce_sum", {}, lambda: tf.reduce_sum(X)),
    ("math.square", {}, lambda: tf.square(X)),
    ("math.subtract", {"y": 1.0, "name": "s"}, lambda: X - 1),
    ("math.truediv", {"y": 2.0}, lambda: X / 2),
    ("nn.elu", {}, lambda: tf.nn.elu(X)),
    ("nn.gelu", {}, lambda: tf.nn.gelu(X)),
    ("nn.gelu", {"approximate": True}, lambda: tf.nn.gelu(X, approximate=True)),
    ("nn.l2_normalize", {"axis": 2}, lambda: tf.nn.l2_normalize(X, 2)),
    ("math.l2_normalize", {"axis": 2, "epsilon": 0.1}, lambda: tf.nn.l2_normalize(X, 2, 0.1)),
    ("nn.leaky_relu", {}, lambda: tf.nn.leaky_relu(X)),
    ("nn.leaky_relu", {"alpha": 0.5}, lambda: tf.nn.leaky_relu(X, 0.5)),
    ("nn.relu", {}, lambda: tf.nn.relu(X)),
    ("nn.relu6", {}, lambda: tf.nn.relu6(9 * X)),
    ("nn.silu", {}, lambda: tf.nn.silu(X)),
    ("nn.swish", {}, lambda: tf.nn.swish(X)),
    ("nn.sigmoid", {}, lambda: tf.sigmoid(X)),
    ("nn.tanh", {}, lambda: tf.tanh(X)),
    ("nn.softmax", {}, lambda: tf.nn.softmax(X)),
    ("nn.softmax", {"axis": 2}, lambda: tf.nn.softmax(X, 2)),
    ("nn.softplus", {}, lambda: tf.nn.softplus(X)),
    ("reshape", {"shape": [-1, 12]}, lambda: tf.reshape(X, [-1, 12])),
    ("squeeze", {"axis": 1}, lambda: tf.squeeze(X, 1)),
    ("transpose", {"perm": [0, 2, 1, 3]}, lambda: tf.transpose(X, [0, 2, 1, 3])),
]  # fmt: skip
POSITIVE = [
    ("math.log", lambda: tf.math.log(np.abs(X))),
    ("math.sqrt", lambda: tf.sqrt(np.abs(X))),
    ("math.rsqrt", lambda: tf.math.rsqrt(np.abs(X))),
]


def run(function, x, **arguments):
    entry = {"class_name": "TFOpLambda", "name": "op", "config": {"function": function}}
    return np.asarray(operator(entry)(x, **arguments))


@pytest.mark.parametrize(("function", "arguments", "expected"), CASES, ids=lambda v: str(v)[:40])
def test_each_computes_what_tensorflow_does(function, arguments, expected):
    x = 9 * X if function == "nn.relu6" else X
    np.testing.assert_allclose(run(function, x, **arguments), expected(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("function", "expected"), POSITIVE)
def test_roots_and_logarithms(function, expected):
    np.testing.assert_allclose(run(function, np.abs(X)), expected(), rtol=1e-5)


def test_lists_and_slices():
    np.testing.assert_array_equal(run("concat", [X, X], axis=2), tf.concat([X, X], 2))
    np.testing.assert_array_equal(run("stack", [X, X], axis=1), tf.stack([X, X], 1))
    spec = [
        {"start": None, "stop": None, "step": None},
        {"class_name": "__ellipsis__"},
        {"start": 1, "stop": 3, "step": None},
        0,
    ]
    taken = run("__operators__.getitem", X, slice_spec=spec)
    np.testing.assert_array_equal(taken, X[..., 1:3, 0])


def test_every_row_is_tested():
    tested = {case[0] for case in (*CASES, *POSITIVE)}
    tested |= {"concat", "stack", "__operators__.getitem"}
    missing = {name for name in _TABLE if name not in {_SAME.get(n, n) for n in tested}}
    assert not missing


def test_other_layers_are_none_of_these():
    assert operator({"class_name": "Dense", "config": {"function": "nn.relu"}}) is None


def test_refusals():
    with pytest.raises(InputError, match=r"layer 'op': the TensorFlow operation 'linalg.qr' is no"):
        run("linalg.qr", X)
    with pytest.raises(InputError, match=r"layer 'op': the argument 'features' of 'nn.relu' is no"):
        run("nn.relu", X, features=1)

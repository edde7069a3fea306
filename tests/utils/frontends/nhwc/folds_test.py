"""What is worked out of constants, against NumPy and TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from utils.frontends.nhwc.folds import FOLDS
from utils.frontends.source import NotConvertible, SourceNode


def fold(name, *arrays, **attrs):
    node = SourceNode("n", name, (), ("y",), attrs)
    found = FOLDS[name](node, [np.asarray(array) for array in arrays])
    return found[0] if len(found) == 1 else found


X = np.arange(24, dtype=np.int32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (fold("reshape", X, [4, -1]), X.reshape(4, 6)),
        (fold("squeeze", X[:1]), X[0]),
        (fold("expand", X, 1), X[:, None]),
        (fold("transpose", X, [2, 0, 1]), X.transpose(2, 0, 1)),
        (fold("slice", X, [0, 1, 0], [-1, 2, 3]), X[:, 1:3, :3]),
        (fold("strided", X, [0, 1], [2, 3], [1, 1]), X[:, 1:3]),
        (fold("concatenate", X, X, axis=1), np.concatenate([X, X], 1)),
        (fold("pack", X, X, axis=0), np.stack([X, X])),
        (fold("unpack", X, axis=1)[2], X[:, 2]),
        (fold("gather", X, [2, 0], axis=1), X[:, [2, 0]]),
        (fold("range", 1, 9, 3), [1, 4, 7]),
        (fold("fill", [2, 2], 5), [[5, 5], [5, 5]]),
        (fold("tile", X, [1, 2, 1]), np.tile(X, (1, 2, 1))),
        (fold("broadcast", X[:1], [2, 3, 4]), np.broadcast_to(X[:1], (2, 3, 4))),
        (fold("pad", X, [[0, 0], [1, 0], [0, 2]]), np.pad(X, [(0, 0), (1, 0), (0, 2)])),
        (fold("split", 2, X, num_split=2)[1], X[..., 2:]),
        (fold("split_sizes", X, [1, -1], 2)[1], X[..., 1:]),
        (fold("reverse", X, [0]), X[::-1]),
        (fold("sum", X, [1], keepdims=True), X.sum(1, keepdims=True)),
        (fold("shape", X), [2, 3, 4]),
        (fold("rank", X), 3),
        (fold("where", X > 3, X, -X), np.where(X > 3, X, -X)),
        (fold("rsqrt", np.float32([4])), [0.5]),
    ],
)
def test_worked_out(made, wanted):
    np.testing.assert_array_equal(made, wanted)


def test_types_stay():
    assert fold("add", np.float32([1]), np.float32([2])).dtype == np.float32
    assert fold("cast", X, dtype="float32").dtype == np.float32
    assert fold("mean", np.float32([[1, 2]]), [1], keepdims=False).dtype == np.float32
    made = fold("divide", np.int32([-7, 7]), np.int32([2, 2]))
    np.testing.assert_array_equal(made, tf.truncatediv([-7, 7], [2, 2]))


@pytest.mark.parametrize(
    ("name", "arrays", "words"),
    [
        ("fill", ([1 << 20, 1 << 20], 1), "too large"),
        ("range", (0, 1 << 40, 1), "too large"),
        ("range", (0, 9, 0), "in steps of 0"),
        ("tile", (X, [1 << 10, 1 << 10, 1 << 10]), "too large"),
        ("divide", (X, 0 * X), "divides integers by zero"),
    ],
)
def test_refusals(name, arrays, words):
    with pytest.raises(NotConvertible, match=words):
        fold(name, *arrays)

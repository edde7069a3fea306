"""Axes moved, cut, joined and summed up, against NumPy."""

import keras
import numpy as np
import pytest

from tests.utils.frontends.nhwc.one_node import images, reason, run
from utils.frontends.nhwc import shapes

X = images(2, 4, 3, 5)


def ints(*values):
    return np.array(values, np.int32)


CASES = {
    "reshape": (shapes.reshape, [ints(-1, 12, 5)], {}, X.reshape(2, 12, 5)),
    "reshape by setting": (shapes.reshape, [], {"shape": [-1, 60]}, X.reshape(2, 60)),
    "expand": (shapes.expand, [ints(-1)], {}, X[..., None]),
    "transpose": (shapes.transpose, [ints(0, 3, 1, 2)], {}, X.transpose(0, 3, 1, 2)),
    "pad": (shapes.pad, [ints([0, 0], [1, 2], [0, 1], [0, 0])], {},
            np.pad(X, [(0, 0), (1, 2), (0, 1), (0, 0)])),
    "pad channels": (shapes.pad, [ints([0, 0], [0, 0], [0, 0], [1, 2])], {},
                     np.pad(X, [(0, 0), (0, 0), (0, 0), (1, 2)])),
    "pad with": (shapes.pad, [ints([0, 0], [1, 2], [0, 1], [3, 0]), np.float32(7)], {},
                 np.pad(X, [(0, 0), (1, 2), (0, 1), (3, 0)], constant_values=7)),
    "pad by reflection": (shapes.pad, [ints([0, 0], [1, 2], [0, 1], [0, 0])], {"mode": "reflect"},
                          np.pad(X, [(0, 0), (1, 2), (0, 1), (0, 0)], mode="reflect")),
    "take": (lambda b, n: shapes.gather(b, n, 3), [ints(4, 0, 4)], {}, X[..., [4, 0, 4]]),
    "take one": (lambda b, n: shapes.gather(b, n, 1), [ints(2).reshape(())], {}, X[:, 2]),
    "mean": (shapes.reduced("mean"), [ints(1, 2)], {}, X.mean((1, 2))),
    "mean kept": (shapes.reduced("mean"), [ints(1, 2)], {"keepdims": True},
                  X.mean((1, 2), keepdims=True)),
    "sum": (shapes.reduced("sum"), [ints(-1)], {}, X.sum(-1)),
    "max": (shapes.reduced("max"), [ints(1)], {"keepdims": True}, X.max(1, keepdims=True)),
    "best": (shapes.best(keras.ops.argmax), [ints(-1)], {}, X.argmax(-1)),
    "tile": (shapes.tile, [ints(1, 2, 1, 3)], {}, np.tile(X, (1, 2, 1, 3))),
    "reverse": (shapes.reverse, [ints(1, 3)], {}, X[:, ::-1, :, ::-1]),
    "strided": (shapes.strided_slice, [ints(0, 1, 0, -1), ints(0, 4, 3, 0), ints(1, 2, 1, 1)],
                {"begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 8}, X[:, 1:4:2, :, -1]),
    "slice": (shapes.slice_of, [ints(0, 1, 0, 2), ints(-1, 2, -1, 3)], {}, X[:, 1:3, :, 2:5]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_of_one_tensor(name):
    function, constants, attrs, wanted = CASES[name]
    np.testing.assert_allclose(run(function, [X], constants, **attrs), wanted, atol=1e-6)


def test_axes_of_size_one():
    flat = X[:, :1, :, :1]
    assert np.array_equal(run(shapes.squeeze, [flat]), flat[:, 0, :, 0])
    assert np.array_equal(run(shapes.squeeze, [flat], axes=(1,)), flat[:, 0])
    made = run(shapes.broadcast, [flat], [ints(99991, 1, 3, 5)])
    assert np.array_equal(made, np.broadcast_to(flat, (2, 1, 3, 5)))


def test_joined_and_cut():
    other = images(2, 4, 3, 5, seed=1)
    made = run(shapes.concatenate, [X, other], axis=-1, activation="relu")
    np.testing.assert_allclose(made, np.maximum(np.concatenate([X, other], -1), 0))
    assert np.array_equal(run(shapes.pack, [X, other], axis=1), np.stack([X, other], 1))
    parts = run(shapes.unpack, [X], num_outputs=3, axis=2)
    assert all(np.array_equal(part, X[:, :, i]) for i, part in enumerate(parts))
    cut = lambda b, n: shapes.split(b, n, b.input(n, 0), 3, [1, -1])  # noqa: E731
    first, second = run(cut, [X], num_outputs=2)
    assert np.array_equal(first, X[..., :1]) and np.array_equal(second, X[..., 1:])


@pytest.mark.parametrize("swap", [(False, False), (True, False), (False, True)])
def test_products(swap):
    first, second = images(2, 4, 4), images(2, 4, 4, seed=1)
    wanted = [np.swapaxes(each, 1, 2) if is_swapped else each
              for each, is_swapped in zip((first, second), swap, strict=True)]  # fmt: skip
    build = lambda b, n: shapes.product(b, n, b.input(n, 0), b.input(n, 1), swap)  # noqa: E731
    np.testing.assert_allclose(run(build, [first, second]), wanted[0] @ wanted[1], atol=1e-5)


def test_embeddings():
    table, words = images(7, 3), np.array([[1, 6], [0, 2]], np.int32)

    def build(b, node):
        swapped = type(node)(node.name, node.op, node.inputs[::-1], node.outputs, node.attrs)
        return shapes.gather(b, swapped, 0)

    assert np.array_equal(run(build, [words], [table]), table[words])


def test_shapes_of_open_batches():
    grown = lambda b, n: b.reshape(n, b.input(n, 0), [  # noqa: E731
        *shapes.shape_of(b, n).array[:1], -1])  # fmt: skip
    assert np.array_equal(run(grown, [X]), X.reshape(2, -1))


@pytest.mark.parametrize(
    ("function", "constants", "attrs", "words"),
    [
        (shapes.reduced("sum"), [ints(0)], {}, "sums up the batch"),
        (shapes.pad, [ints([1, 0], [0, 0], [0, 0], [0, 0])], {}, "pads the batch"),
        (shapes.pad, [ints([1, 0])], {}, "its padding has the shape"),
        (shapes.transpose, [ints(0, 0, 1, 2)], {}, "its order of axes is"),
        (shapes.concatenate, [], {"axis": 0}, "joins tensors along the batch"),
        (shapes.tile, [ints(1, 0, 1, 1)], {}, "its repeats are"),
        (shapes.reshape, [], {}, "lacks its shape"),
        (shapes.reshape, [ints(-1, 7)], {}, "cannot reshape"),
    ],
)
def test_refusals(function, constants, attrs, words):
    assert words in reason(function, [X], constants, **attrs)


def test_what_an_open_batch_forbids_a_fixed_one_allows():
    x = images(1, 4, 3)
    assert np.allclose(run(shapes.reduced("sum"), [x], [ints(0)], batch=1), x.sum(0), atol=1e-6)

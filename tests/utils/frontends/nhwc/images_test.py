"""Resizing and blocks of pixels against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.nhwc.one_node import converted, images, reason, run
from utils.frontends.nhwc.images import depth_to_space, resize, resized, space_to_depth

X = images(2, 6, 4, 3)
OPS = {"bilinear": tf.raw_ops.ResizeBilinear, "nearest": tf.raw_ops.ResizeNearestNeighbor}


def function(size, method):
    return lambda b, node: resized(b, node, size, method)


@pytest.mark.parametrize("method", OPS)
@pytest.mark.parametrize(("corners", "halves"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("size", [(12, 8), (9, 7), (3, 3)])
def test_resized(method, corners, halves, size):
    settings = {"align_corners": corners, "half_pixel_centers": halves}
    wanted = OPS[method](images=X, size=size, **settings)
    np.testing.assert_allclose(run(function(size, method), [X], **settings), wanted, atol=1e-5)


def test_the_usual_way_is_one_operation():
    model = converted(function((12, 8), "bilinear"), [X], half_pixel_centers=True).model
    assert [type(each).__name__ for each in model.operations[1:]] == ["Resize"]


def test_what_keras_lacks_keeps_channels_apart():
    """Rows that are picked, shares of them: no product in which channels could be mixed."""
    model = converted(function((9, 7), "bilinear"), [X], align_corners=True).model
    kinds = {type(each).__name__ for each in model.operations[1:]}
    assert kinds == {"Take", "Multiply", "Add"}


def test_the_new_size_may_be_an_input():
    wanted = OPS["nearest"](images=X, size=(9, 7))
    made = run(resize("nearest"), [X], [np.array([9, 7], np.int32)])
    np.testing.assert_array_equal(made, wanted)


def test_blocks():
    wide = images(2, 3, 4, 12)
    made = run(depth_to_space, [wide], block=2)
    np.testing.assert_array_equal(made, tf.nn.depth_to_space(wide, 2))
    np.testing.assert_array_equal(run(space_to_depth, [X], block=2), tf.nn.space_to_depth(X, 2))
    first = run(depth_to_space, [wide.transpose(0, 3, 1, 2)], block=2, channel_axis=1)
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), tf.nn.depth_to_space(wide, 2))


def test_refusals():
    assert "do not fit 3 channels" in reason(depth_to_space, [X], block=2)
    assert "has the size (0, 3)" in reason(function((0, 3), "nearest"), [X])

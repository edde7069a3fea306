"""Convolutions and pooling against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.nhwc.one_node import images, reason, run
from utils.frontends.nhwc import weighted

IMAGE = images(2, 9, 7, 4)
KERNEL, BIAS = images(3, 2, 4, 6, seed=1), images(6, seed=2)


def conv(b, node):
    return weighted.convolution(b, node, KERNEL, BIAS)


@pytest.mark.parametrize("padding", ["same", "valid", ((1, 2), (0, 1))])
@pytest.mark.parametrize(("strides", "dilations"), [((1, 1), (1, 1)), ((2, 1), (1, 1)),
                                                    ((1, 1), (2, 3))])  # fmt: skip
def test_convolutions(padding, strides, dilations):
    pads = padding.upper() if isinstance(padding, str) else [(0, 0), *padding, (0, 0)]
    wanted = tf.nn.conv2d(IMAGE, KERNEL, strides, pads, dilations=dilations) + BIAS
    made = run(conv, [IMAGE], padding=padding, strides=strides, dilations=dilations)
    np.testing.assert_allclose(made, wanted, atol=1e-5)


def test_groups_and_what_is_fused():
    kernel = images(3, 3, 2, 6, seed=3)
    build = lambda b, node: weighted.convolution(b, node, kernel, None)  # noqa: E731
    made = run(build, [IMAGE], padding="same", activation="relu6")
    halves = [tf.nn.conv2d(IMAGE[..., i : i + 2], kernel[..., j : j + 3], 1, "SAME")
              for i, j in ((0, 0), (2, 3))]  # fmt: skip
    np.testing.assert_allclose(made, tf.nn.relu6(tf.concat(halves, -1)), atol=1e-5)


def test_channels_in_front():
    made = run(conv, [IMAGE.transpose(0, 3, 1, 2)], padding="same", channel_axis=1)
    wanted = tf.nn.conv2d(IMAGE, KERNEL, 1, "SAME") + BIAS
    np.testing.assert_allclose(made.transpose(0, 2, 3, 1), wanted, atol=1e-5)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_depthwise(strides):
    kernel = images(3, 3, 4, 2, seed=4)
    build = lambda b, node: weighted.depthwise(b, node, kernel, None)  # noqa: E731
    wanted = tf.nn.depthwise_conv2d(IMAGE, kernel, (1, *strides, 1), "SAME")
    made = run(build, [IMAGE], padding="same", strides=strides)
    np.testing.assert_allclose(made, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("padding", "size"),
    [("same", (18, 14)), ("same", (17, 13)), ("valid", (20, 16)), ("valid", (21, 17))],
)
def test_transposed(padding, size):
    kernel = images(4, 4, 5, 4, seed=5)

    def build(b, node):
        return weighted.transposed(b, node, b.input(node, 0), kernel, None, size)

    wanted = tf.nn.conv2d_transpose(IMAGE, kernel, (2, *size, 5), 2, padding.upper())
    made = run(build, [IMAGE], padding=padding, strides=(2, 2))
    np.testing.assert_allclose(made, wanted, atol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", ["max", "mean"])
def test_pools(kind, padding):
    pooled = {"max": tf.nn.max_pool2d, "mean": tf.nn.avg_pool2d}[kind]
    wanted = pooled(IMAGE, (3, 2), (2, 2), padding.upper())
    build = lambda b, node: weighted.pool(b, node, kind)  # noqa: E731
    made = run(build, [IMAGE], padding=padding, size=(3, 2), strides=(2, 2))
    np.testing.assert_allclose(made, wanted, atol=1e-6)


def test_refusals():
    wrong = lambda b, node: weighted.convolution(b, node, KERNEL[:, :, :3], None)  # noqa: E731
    assert "does not fit 4 channels" in reason(wrong, [IMAGE], padding="same")
    small = lambda b, node: weighted.transposed(  # noqa: E731
        b, node, b.input(node, 0), images(4, 4, 5, 4), None, (40, 40)
    )
    assert "does not fit its image" in reason(small, [IMAGE], padding="valid", strides=(2, 2))
    assert "its strides are (0, 1)" in reason(conv, [IMAGE], padding="same", strides=(0, 1))

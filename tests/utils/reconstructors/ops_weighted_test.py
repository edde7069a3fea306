import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from tests.utils.reconstructors.sources import written
from utils.reconstructors.ops_weighted import per_axis, window_pads
from utils.reconstructors.target import SAME


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_same_padding_is_that_of_keras(length, size, stride, dilation):
    ((before, behind),) = window_pads([length], [size], [stride], [dilation], "same")
    reach = (size - 1) * dilation + 1
    count = -(-length // stride)
    assert (length + before + behind - reach) // stride + 1 == count  # as many windows
    assert behind - before in (0, 1)
    if before or behind:  # and nothing more than they need
        assert length + before + behind == (count - 1) * stride + reach


def test_where_an_open_size_decides():
    assert window_pads([None], [3], [2], [1], "same") == SAME
    assert window_pads([None], [3], [1], [2], "same") == [(2, 2)]
    assert window_pads([None], [3], [2], [2], "causal") == [(4, 0)]
    assert per_axis([1, 2], rank=2) == (1, 2)


def test_a_dense_layer_behind_a_flattened_map_has_its_rows_moved():
    inputs = keras.Input((2, 3, 4))
    head = layers.Dense(5, name="head")
    lines, _, state = written(keras.Model(inputs, head(layers.Flatten()(inputs))))
    kernel = head.kernel.numpy().reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(state["head.weight"], kernel.transpose(3, 2, 0, 1).reshape(5, 24))
    assert lines[0].endswith(".reshape(-1, 24)")


def test_a_shared_layer_is_one_module():
    inputs = keras.Input((8, 8, 4))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    lines, setup, state = written(keras.Model(inputs, shared(shared(inputs))))
    assert [line for line in lines if "self.shared(" in line] == lines[:2]
    assert setup.count("nn.Conv2d") == 1
    assert {*state} == {"shared.weight", "shared.bias"}


def test_calls_with_other_paddings_share_their_weights():
    inputs = keras.Input((9, 9, 4))
    shared = layers.Conv2D(4, 3, strides=2, padding="same", name="shared")
    x = shared(layers.ZeroPadding2D(((0, 1), (0, 1)))(inputs))  # 10: one row behind; 5: both sides
    _, setup, _ = written(keras.Model(inputs, shared(x)))
    assert "self.shared_1.weight = self.shared.weight" in setup


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_kernels_have_a_group_per_channel(multiplier):
    inputs = keras.Input((6, 6, 3))
    layer = layers.DepthwiseConv2D(3, depth_multiplier=multiplier, name="depthwise")
    _, setup, state = written(keras.Model(inputs, layer(inputs)))
    assert f"nn.Conv2d(3, {3 * multiplier}, 3, groups=3)" in setup
    kernel = layer.kernel.numpy()
    np.testing.assert_array_equal(state["depthwise.weight"][multiplier, 0], kernel[:, :, 1, 0])

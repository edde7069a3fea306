import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.utils.reconstructors.sources import written
from utils.errors import InputError


def lines_of(function, shape=(4, 6, 8)):
    inputs = keras.Input(shape, name="image")
    return written(keras.Model(inputs, function(inputs)))[0]


def test_axes_that_only_move_cost_nothing_in_between():
    # out of the order of maps and back into it
    lines = lines_of(lambda x: layers.Permute((2, 3, 1))(layers.Permute((3, 1, 2))(x)))
    assert lines == ["return image"]


def test_regular_slices_stay_slices():
    assert lines_of(lambda x: x[:, ::2, 1:, 2:6])[0] == "x = image[:, 2:6, ::2, 1:]"


def test_gathers_hold_their_indices():
    inputs = keras.Input((4, 4, 3), name="image")
    lines, setup, state = written(keras.Model(inputs, ops.take(inputs, [2, 0, 2], axis=-1)))
    assert lines[0].startswith("x = image.index_select(1, self.take")
    assert "register_buffer" in setup
    (held,) = state.values()
    assert held.tolist() == [2, 0, 2] and held.dtype == np.int64


def test_a_channel_shuffle_is_one_transposition():
    def shuffle(x):
        x = layers.Reshape((4, 6, 2, 4))(x)
        return layers.Reshape((4, 6, 8))(ops.transpose(x, (0, 1, 2, 4, 3)))

    lines = lines_of(shuffle)
    assert sum("permute" in line for line in lines) <= 3


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: ops.take(x, ops.cast(x[:, 0, 0, 0], "int32"), axis=1), "indices are a tensor"),
    ],
)
def test_what_is_refused(function, reason):
    with pytest.raises(InputError, match=reason):
        lines_of(function)

"""Where channels go when a tensor is rearranged: compared with the op, on marked channels."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from utils.graph import channel_groups, from_keras

SHAPE, SIZE = (4, 6, 4), 4

MOVES = {
    "permute": layers.Permute((3, 1, 2)),
    "permute back": lambda x: layers.Permute((2, 3, 1))(layers.Permute((3, 1, 2))(x)),
    "flatten": layers.Flatten(),
    "flatten channels first": layers.Flatten(data_format="channels_first"),
    "reshape positions": layers.Reshape((24, 4)),
    "reshape into channels": layers.Reshape((4, 24)),
    "flip": lambda x: ops.flip(x, axis=-1),
    "expand and squeeze": lambda x: ops.squeeze(ops.expand_dims(x, 1), 1),
    "concatenate": lambda x: ops.concatenate([x, x[..., ::-1]], axis=-1),
    "transpose": lambda x: ops.transpose(x, (0, 2, 1, 3)),
}


def built(move):
    """A convolution whose channels are moved, read by a Dense layer along the last axis."""
    inputs = keras.Input((*SHAPE[:2], 3))
    made = layers.Conv2D(SIZE, 1, name="made")(inputs)
    moved = move(made)
    return keras.Model(inputs, layers.Dense(2, name="head")(moved)), made, moved


@pytest.mark.parametrize("name", MOVES)
def test_readers_see_channels_where_the_op_puts_them(name):
    model, made, moved = built(MOVES[name])
    marked = np.broadcast_to(np.arange(SIZE, dtype=np.float32), (1, *SHAPE))
    seen = np.asarray(keras.Model(made, moved)(marked))
    group = next(g for g in channel_groups(from_keras(model)) if "made" in g.producers)
    along_last = seen.reshape(-1, seen.shape[-1])
    if (along_last == along_last[0]).all():  # every position of the last axis is one channel
        (reader,) = group.readers
        assert reader.node == "head"
        np.testing.assert_array_equal(reader.channels, along_last[0])
    else:  # channels lie on another axis: the kernel reads none of them
        assert not any(np.any(reader.channels >= 0) for reader in group.readers)


def test_moves_that_are_not_followed_freeze():
    inputs = keras.Input((4, 4, 3))
    made = layers.Conv2D(4, 1, name="made")(inputs)
    mixed = layers.Reshape((4, 4, 2, 2))(made)  # a channel is now a pair of places on two axes
    model = keras.Model(inputs, layers.Conv3D(2, 1)(mixed))
    group = next(g for g in channel_groups(from_keras(model)) if "made" in g.producers)
    # What is left must be a block again: channels go in pairs.
    assert group.size == 2
    np.testing.assert_array_equal(group.producer_channels[0], [0, 1, 0, 1])

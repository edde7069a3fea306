import keras
import pytest
from keras import layers, ops

from tests.utils.reconstructors.sources import written
from utils.errors import InputError
from utils.reconstructors.rebuilding import RefusedError, float_or, open_sizes


def trunk(x):
    x = layers.Conv2D(8, 3, padding="same", name="a")(x)
    x = layers.BatchNormalization(name="n")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="b")(layers.ReLU()(x))
    y = layers.LayerNormalization(name="ln")(y)
    y = layers.Dense(8, name="pointwise", activation="gelu")(y)
    gate = layers.Dense(8, activation="sigmoid", name="g")(layers.GlobalAveragePooling2D()(y))
    x = layers.Add()([x, y * layers.Reshape((1, 1, 8))(gate)])
    x = layers.MaxPooling2D(2)(layers.Concatenate()([x, y]))
    return ops.pad(x[:, ::2, ::2, 2:], ((0, 0), (0, 0), (0, 0), (1, 1)))


def test_a_trunk_has_no_transposition():
    inputs = keras.Input((8, 8, 3))
    x = layers.Dense(5, name="head")(layers.Flatten()(trunk(inputs)))
    lines, setup, _ = written(keras.Model(inputs, x))
    assert not [line for line in lines if "permute" in line or "index_select" in line]
    assert "self.pointwise = nn.Conv2d(8, 8, 1)" in setup  # in the middle of maps


def test_maps_may_keep_their_channels_last_at_the_border():
    inputs = keras.Input((8, 8, 3), name="image")
    lines, _, _ = written(keras.Model(inputs, trunk(inputs)), last=True)
    moved = [line for line in lines if "permute" in line]
    assert moved == ["x = image.permute(0, 3, 1, 2)", "x = x.permute(0, 2, 3, 1)"]


def test_all_refused_nodes_are_named_at_once():
    inputs = keras.Input((8, 8, 3))
    x = layers.Resizing(4, 4, interpolation="bicubic", name="first")(inputs)
    x = layers.UpSampling2D(2, interpolation="lanczos3", name="second")(x)
    with pytest.raises(InputError, match=r"2 nodes cannot be rebuilt: 'first' .*; 'second' "):
        written(keras.Model(inputs, x))


def test_open_sizes():
    with pytest.raises(RefusedError, match="several open sizes"):
        open_sizes((None, None, None, 3))
    assert open_sizes((2, None)) == [2, -1]
    assert float_or("bfloat16") == "float32"

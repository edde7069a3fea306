import keras
import numpy as np
from keras import layers

from tests.utils.reconstructors.sources import written


def test_constants_meet_maps_where_the_channels_are():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(3, 1, name="c")(inputs) * np.array([1.0, 2.0, 3.0], np.float32)
    _, _, state = written(keras.Model(inputs, x))
    (held,) = [array for name, array in state.items() if not name.startswith("c.")]
    assert held.shape == (1, 3, 1, 1)
    assert held.ravel().tolist() == [1.0, 2.0, 3.0]


def test_numbers_stay_numbers():
    inputs = keras.Input((4,), dtype="int32")
    lines, _, state = written(keras.Model(inputs, inputs * 3))
    assert lines[0].endswith("* 3") and not state


def test_integers_become_floats_where_they_meet_floats():
    whole, x = keras.Input((4,), dtype="int32"), keras.Input((4,))
    lines, _, _ = written(keras.Model([whole, x], layers.Add()([whole, x])))
    assert ".to(torch.float32)" in lines[0]

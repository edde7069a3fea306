import keras
import numpy as np

from nets.backbones import gru


def test_layers_stand_over_one_another():
    inputs = keras.Input((7, 5, 1))
    model = keras.Model(inputs, gru.build(inputs, 4, widths=(6, 3)))
    assert model.get_layer("gru1").output.shape == (None, 7, 6)
    assert model.get_layer("gru2").output.shape == (None, 3)
    assert model.count_params() == (5 + 6 + 2) * 18 + (6 + 3 + 2) * 9 + 3 * 4 + 4


def test_steps_are_the_rows_of_the_picture():
    """What comes first in time is the first row: the last rows alone decide after a reset."""
    inputs = keras.Input((7, 5, 1))
    model = keras.Model(inputs, gru.build(inputs, 4, widths=(6,)))
    pictures = np.random.default_rng(0).normal(size=(2, 7, 5, 1)).astype("float32")
    cell = model.get_layer("gru1").cell
    state = np.zeros((2, 6), "float32")
    for step in range(7):
        state = cell(pictures[:, step, :, 0], state)[0]
    np.testing.assert_allclose(model(pictures), model.get_layer("fc")(state), atol=1e-5)

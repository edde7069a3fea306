"""Against Keras 2's formula, computed by hand."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from utils.errors import InputError
from utils.legacy_keras.hard_sigmoid import places, restore


@keras.saving.register_keras_serializable("hard_sigmoid_test")
def of_keras_2(x):
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


HARD = {"activation": "hard_sigmoid"}
IMAGE, SEQUENCE = (6, 6, 4), (5, 4)
CASES = {
    "dense": (SEQUENCE, lambda **f: layers.Dense(3, **f)),
    "conv": (IMAGE, lambda **f: layers.Conv2D(3, 3, **f)),
    "depthwise": (IMAGE, lambda **f: layers.DepthwiseConv2D(3, use_bias=False, **f)),
    "separable": (IMAGE, lambda **f: layers.SeparableConv2D(3, 3, **f)),
    "transposed": (IMAGE, lambda **f: layers.Conv2DTranspose(3, 3, **f)),
    "distributed": (SEQUENCE, lambda **f: layers.TimeDistributed(layers.Dense(3, **f))),
    "simple": (SEQUENCE, lambda **f: layers.SimpleRNN(3, **f)),
}
GATES = {
    "lstm": (SEQUENCE, lambda **f: layers.LSTM(3, **f)),
    "gru": (SEQUENCE, lambda **f: layers.GRU(3, reset_after=False, **f)),
    "gru_reset_after": (SEQUENCE, lambda **f: layers.GRU(3, **f)),
    "both": (SEQUENCE, lambda **f: layers.Bidirectional(layers.LSTM(3, use_bias=False, **f))),
    "convolutional": ((3, 6, 6, 2), lambda **f: layers.ConvLSTM2D(3, 3, **f)),
}


@pytest.mark.parametrize("case", [*CASES, *GATES])
def test_weights_make_up_for_the_other_formula(case):
    setting = "activation" if case in CASES else "recurrent_activation"
    shape, make = CASES.get(case) or GATES[case]
    random = np.random.default_rng(1)
    today, then = (
        keras.Sequential([keras.Input(shape), make(**{setting: function})])
        for function in ("hard_sigmoid", of_keras_2)
    )
    weights = [random.normal(size=w.shape) for w in then.get_weights()]
    for model in (today, then):
        model.set_weights(weights)
    x = random.normal(size=(3, *shape)).astype(np.float32)
    assert not np.allclose(today(x), then(x), atol=1e-3)
    restore(today)
    np.testing.assert_allclose(today(x), then(x), rtol=1e-5, atol=1e-6)


def test_where_no_weights_can():
    alone = layers.Activation("hard_sigmoid", name="alone")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), alone])
    before = model.get_weights()
    with pytest.raises(
        InputError, match=r"layer 'alone' is a hard sigmoid, which Keras 2 computed"
    ):
        restore(model)
    assert np.array_equal(before[0], model.get_weights()[0])
    assert places(model, scaled=[alone]) == []
    state = keras.Sequential([keras.Input(SEQUENCE), layers.LSTM(3, **HARD)])
    with pytest.raises(InputError, match=r"layer 'lstm_cell' is a hard sigmoid"):
        places(state)


def test_other_networks_are_left_alone():
    model = keras.Sequential([keras.Input(SEQUENCE), layers.LSTM(3), layers.Dense(2, "sigmoid")])
    assert places(model) == []

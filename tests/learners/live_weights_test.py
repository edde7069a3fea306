import keras
import numpy as np
from keras import layers

from learners.live_weights import LiveWeights


def test_live_weights_are_the_models_own():
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="inside")])
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3, name="last")(inner(inputs)))
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    live = LiveWeights(model)
    kernel = live.variable("inside", "kernel")
    assert kernel is inner.layers[0].kernel
    was = live.value("inside", "kernel").copy()
    kernel.assign(np.zeros(kernel.shape))
    assert not live.current().params["inside"]["kernel"].any()
    np.testing.assert_array_equal(live.graph.params["inside"]["kernel"], was)  # as it was

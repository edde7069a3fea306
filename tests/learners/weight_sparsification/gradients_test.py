import keras
import numpy as np
import tensorflow as tf

from learners.weight_sparsification.gradients import mean_gradients


def test_it_is_the_mean_over_batches_and_nothing_moves():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name="fc")(inputs))
    kernel = model.get_layer("fc").kernel
    before = np.array(kernel)
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(3, 4, 4)).astype("float32")
    batches = [(rows[:, :3], rows[:, 3:]) for rows in arrays]

    def calc_loss(labels, outputs, variables):
        return tf.reduce_mean((outputs - labels) ** 2), {}

    (found,) = mean_gradients(model, [kernel], batches, calc_loss)
    wanted = np.mean([2 * x.T @ (x @ before - y) / 4 for x, y in batches], axis=0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    np.testing.assert_array_equal(np.array(kernel), before)

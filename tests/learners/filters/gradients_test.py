import keras
import numpy as np
import tensorflow as tf

from learners.filters.carriers import FILTER, LiveWeights, carriers
from learners.filters.choice import filter_groups
from learners.filters.gradients import filter_products
from tests.learners import networks


def calc_loss(labels, outputs, variables):
    loss = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
    return tf.reduce_mean(loss), {}


def test_gradient_times_weight_is_the_slope_of_the_loss_along_a_filter():
    """d loss / d s of a filter that is scaled by s, by differences."""
    model = networks.residual()
    live = LiveWeights(model)
    group = filter_groups(live.graph, residual="joint")[1]
    parts = carriers(live.graph, group)
    images, labels = networks.images(12), np.arange(12) % 5
    batches = [(images[:8], labels[:8]), (images[8:], labels[8:])]
    before = [np.array(weight) for weight in model.weights]
    found = filter_products(model, live, parts, batches, calc_loss)
    assert set(found) == {(part.layer, part.weight) for part in parts if part.kind == FILTER}
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)  # the network is as it was
    (key,) = found
    assert found[key].shape == (2, 8)
    kernel = live.variable(*key)
    original = np.array(kernel)
    for channel in (0, 5):
        for index, (inputs, wanted) in enumerate(batches):
            losses = []
            for factor in (1.002, 0.998):
                changed = original.copy()
                changed[..., channel] *= factor
                kernel.assign(changed)
                losses.append(float(calc_loss(wanted, model(inputs, training=False), ())[0]))
            kernel.assign(original)
            slope = (losses[0] - losses[1]) / 0.004
            np.testing.assert_allclose(found[key][index, channel], slope, rtol=0.05, atol=1e-3)

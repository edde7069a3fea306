import keras
import numpy as np
import tensorflow as tf

from learners.filters.carriers import FILTER, carriers
from learners.filters.choice import filter_groups
from learners.filters.gradients import filter_products
from learners.live_weights import LiveWeights
from tests.learners import networks


def calc_loss(labels, outputs, variables):
    loss = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
    return tf.reduce_mean(loss), {}


def test_weight_decay_is_no_worth():
    """A filter is worth what it does to the loss of the data."""
    model = networks.vgg()
    live = LiveWeights(model)
    parts = carriers(live.graph, filter_groups(live.graph)[0])
    batches = [(networks.images(8), np.arange(8) % 5)]

    def decayed(labels, outputs, variables):
        loss, metrics = calc_loss(labels, outputs, variables)
        return loss + tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(v)) for v in variables]), metrics

    with_decay = filter_products(model, live, parts, batches, decayed)
    without = filter_products(model, live, parts, batches, calc_loss)
    for key, found in with_decay.items():
        np.testing.assert_allclose(found, without[key], rtol=1e-5, atol=1e-7)


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

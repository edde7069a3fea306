import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.channels.segments import merged
from learners.filters.soft import Pruning
from learners.filters.strip import absorbed
from tests.learners import networks
from tests.learners.filters import blocks
from utils.errors import InputError
from utils.graph.law import TOLERANCE, law_error, relative_error

IMAGES = networks.images(40)
LABELS = np.arange(40) % 5


def compiled(model, rate=0.05):
    model.compile(
        optimizer=keras.optimizers.SGD(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def with_small_filters(model, layer, channels, factor=0.01):
    """Make some filters of a layer redundant."""
    kernel = np.array(model.get_layer(layer).kernel)
    kernel[..., channels] *= factor
    model.get_layer(layer).kernel.assign(kernel)
    return model


def filters(model, layer):
    return np.asarray(model.get_layer(layer).kernel)


def test_small_filters_become_zero():
    model = with_small_filters(networks.residual(), "a1", [1, 4])
    kept = filters(model, "a1")[..., 0].copy()
    pruning = Pruning(model, thresholds=[0.9])
    pruning.zero()
    np.testing.assert_array_equal(pruning.keep()["a1"], [1, 0, 1, 1, 0, 1, 1, 1])
    assert not filters(model, "a1")[..., [1, 4]].any()
    np.testing.assert_array_equal(filters(model, "a1")[..., 0], kept)
    assert not np.asarray(model.get_layer("a1_bn").moving_mean)[[1, 4]].any()
    assert np.asarray(model.get_layer("a1_bn").beta)[[1, 4]].all()  # by it they may come back
    assert str(pruning.summary()) == (
        "threshold 0.9: 2 of 20 filters are zero, 0 % of those that had been came back"
    )
    assert pruning.summary().zeroed == {"a1": 2, "b1": 0}
    assert pruning.summary().sizes == {"a1": 8, "b1": 12}


def test_a_zeroed_filter_that_grows_back_stays():
    """Regrowth: what training gives a zero filter counts as soon as the rule says so."""
    model = with_small_filters(networks.residual(), "a1", [1, 4])
    pruning = Pruning(model, thresholds=[0.9])
    pruning.zero()
    kernel = filters(model, "a1").copy()
    kernel[..., 1] = 0.8 * kernel[..., 0]  # it has learned
    kernel[..., 4] = 1e-3 * kernel[..., 0]  # grown a little: still redundant
    model.get_layer("a1").kernel.assign(kernel)
    pruning.end_epoch()
    np.testing.assert_array_equal(pruning.keep()["a1"], [1, 1, 1, 1, 0, 1, 1, 1])
    assert (pruning.failure_rate, pruning.num_regrown) == (0.5, 1)
    np.testing.assert_array_equal(filters(model, "a1"), np.where(np.arange(8) == 4, 0, kernel))


def test_training_lets_zero_filters_come_back():
    """By gradients alone, in a network of its own loop."""
    model = with_small_filters(networks.residual(), "a1", [1, 4])
    model.get_layer("a1_bn").beta.assign(np.full(8, 0.5))
    compiled(model, 0.5)
    pruning = Pruning(model, thresholds=[0.9])
    pruning.zero()
    assert not pruning.keep()["a1"][[1, 4]].any()
    model.fit(IMAGES, LABELS, batch_size=8, epochs=6, verbose=0)
    pruning.update()
    assert pruning.num_regrown > 0
    assert pruning.keep()["a1"][[1, 4]].any()
    assert filters(model, "a1")[..., pruning.keep()["a1"]].all(axis=(0, 1, 2)).all()


def test_thresholds_come_again_while_too_many_came_back():
    pruning = Pruning(networks.residual(), thresholds=[0.8, 0.5], max_retrains=2)
    rates = iter([0.5, 0.05, 0.9, 0.9, 0.9])
    seen = []
    for threshold in pruning:
        seen.append(threshold)
        assert pruning.failure_rate == 0.0  # of the training that begins
        pruning._failed.assign(next(rates))
    assert seen == [0.8, 0.8, 0.5, 0.5, 0.5]


def test_an_epoch_or_an_interval_of_steps():
    model = compiled(networks.residual(), 1e-3)
    by_step = Pruning(model, thresholds=[0.55], frequency=3)
    decided = []
    by_step.update = lambda: decided.append(by_step.num_steps)
    model.fit(IMAGES, LABELS, batch_size=8, epochs=2, verbose=0, callbacks=[by_step.callback()])
    assert decided == [3, 6, 9]


def test_a_loop_written_by_hand():
    model = networks.residual()
    optimizer = keras.optimizers.SGD(0.02)
    pruning = Pruning(model, thresholds=[0.6, 0.55], max_retrains=0)
    for _ in pruning:
        for first in range(0, 40, 8):
            with tf.GradientTape() as tape:
                outputs = model(IMAGES[first : first + 8], training=True)
                loss = keras.losses.sparse_categorical_crossentropy(
                    LABELS[first : first + 8], outputs, from_logits=True
                )
                loss = tf.reduce_mean(loss)
            gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
            optimizer.apply(gradients, model.trainable_variables)
            pruning.step()
        pruning.end_epoch()
    keep = pruning.keep()
    assert 0 < sum(int((~mask).sum()) for mask in keep.values()) < 20
    small = pruning.strip(IMAGES)
    assert small.get_layer("a1").filters == keep["a1"].sum()
    assert small.get_layer("b1").filters == keep["b1"].sum()
    assert model.get_layer("a1").filters == 8


@pytest.mark.parametrize("squeeze", [False, True])
def test_the_strip_obeys_the_law(squeeze):
    model = compiled(blocks.mobile(squeeze=squeeze))
    pruning = Pruning(model, thresholds=[0.6, 0.5], max_retrains=0)
    for _ in pruning:
        model.fit(IMAGES, LABELS, batch_size=8, verbose=0, callbacks=[pruning.callback()])
    keep, graph = pruning.keep(), pruning._weights.current()
    assert all((~mask).any() for mask in keep.values())
    taken = absorbed(graph, pruning.groups, keep, IMAGES)
    assert law_error(taken, merged(taken, keep), IMAGES) <= TOLERANCE
    small = pruning.strip(IMAGES)
    if not squeeze:  # nothing is multiplied with what depends on the image: exact
        wanted = model(IMAGES, training=False)
        assert relative_error(wanted, small(IMAGES, training=False)) <= TOLERANCE
    assert {type(layer).__module__.partition(".")[0] for layer in small.layers} == {"keras"}


def test_steps_after_the_last_decision_are_looked_at():
    model = compiled(networks.residual(), 0.1)
    pruning = Pruning(model, thresholds=[0.6], max_retrains=0, frequency=100)
    for _ in pruning:
        model.fit(IMAGES, LABELS, batch_size=8, verbose=0, callbacks=[pruning.callback()])
        grown = filters(model, "a1")[..., ~pruning.keep()["a1"]]
        assert grown.any()
    assert not filters(model, "a1")[..., ~pruning.keep()["a1"]].any()


def test_filters_that_grew_unseen_are_cut_as_zeros():
    model = with_small_filters(networks.residual(), "a1", [1, 4])
    pruning = Pruning(model, thresholds=[0.9])
    pruning.zero()
    wanted = pruning.strip(IMAGES)(IMAGES, training=False)
    model.get_layer("a1").kernel.assign_add(
        np.where(pruning.keep()["a1"], 0.0, 1.0) * np.ones((3, 3, 8, 8))
    )
    found = pruning.strip(IMAGES)(IMAGES, training=False)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_squeezed_channels_are_cut_exactly():
    model = blocks.excited()
    layer = model.get_layer("se_squeeze")
    layer.kernel.assign(np.asarray(layer.kernel) * [1, 1e-3, 1, 1e-3])
    pruning = Pruning(model, thresholds=[0.9])
    pruning.zero()
    np.testing.assert_array_equal(pruning.keep()["se_squeeze"], [1, 0, 1, 0])
    small = pruning.strip()
    assert small.get_layer("se_squeeze").units == 2
    wanted = model(IMAGES, training=False)
    assert relative_error(wanted, small(IMAGES, training=False)) <= TOLERANCE


def test_one_filter_stays_whatever_the_threshold():
    model = networks.residual()
    pruning = Pruning(model, thresholds=[0.01])
    for name in ("a1", "b1"):
        model.get_layer(name).kernel.assign(np.ones_like(filters(model, name)))
    pruning.zero()
    assert all(mask.all() for mask in pruning.keep().values())  # equal weights: none is small
    model.get_layer("a1").kernel.assign(np.zeros_like(filters(model, "a1")))
    pruning.zero()
    assert pruning.keep()["a1"].sum() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"thresholds": [0.5, 0.6]}, r"`thresholds` must be numbers in \(0, 1\), each smaller"),
        ({"max_failure_rate": 2.0}, r"`max_failure_rate` must be in \[0, 1\].*Received: 2\.0, 2"),
        ({"max_retrains": -1}, r"`max_retrains` at least 0.*Received: 0\.1, -1, None"),
        ({"frequency": 0}, r"`frequency` at least 1.*Received: 0\.1, 2, 0"),
        ({"scope_names": ["nowhere"]}, r"`scope_names`: no layer .* has 'nowhere' in its name"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        Pruning(networks.residual(), **arguments)


def test_a_threshold_by_hand():
    pruning = Pruning(networks.residual())
    pruning.set_threshold(0.66)
    assert pruning.threshold == 0.66
    with pytest.raises(InputError, match=r"`threshold` must be numbers in \(0, 1\)"):
        pruning.set_threshold(1.0)


def test_a_loop_that_is_resumed_goes_on_with_its_threshold():
    rates = [0.5, 0.0]  # of two trainings with the first threshold
    first = Pruning(networks.residual(), thresholds=[0.8, 0.5], max_retrains=2)
    for _, rate in zip(first, rates, strict=False):
        first._failed.assign(rate)
    second = Pruning(networks.residual(), thresholds=[0.8, 0.5], max_retrains=2)
    for new, old in zip(second.variables, first.variables, strict=True):
        new.assign(old)
    assert list(second) == [0.5]
    assert list(second) == [0.8, 0.5]  # from the start again


def test_one_name_is_no_sequence_of_names():
    with pytest.raises(InputError, match=r"`scope_names` must be a sequence.*Write \('a1',\)"):
        Pruning(networks.residual(), scope_names="a1")

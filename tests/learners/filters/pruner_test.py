import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.filters.carriers import carriers
from learners.filters.choice import best, count_left
from learners.filters.criteria import CRITERIA, group_filters
from learners.filters.gradients import filter_products
from learners.filters.pruner import FilterPruner
from learners.live_weights import LiveWeights
from tests.learners import networks
from tests.learners.filters import blocks
from utils.errors import InputError
from utils.graph.law import TOLERANCE, relative_error

IMAGES = networks.images(40)
LABELS = np.arange(40) % 5


def compiled(model):
    model.compile(
        optimizer=keras.optimizers.SGD(0.02, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


@pytest.mark.parametrize("build", [networks.residual, networks.depthwise, blocks.mobile])
def test_filters_go_in_shares_of_the_original_width(build):
    model = compiled(build())
    pruner = FilterPruner(model, 0.5, pretrain_step=1, sparse_step=4, frequency=2)
    gone = []

    class Noting(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            gone.append(sum(int((~mask).sum()) for mask in pruner.keep().values()))

    callbacks = [pruner.callback(), Noting()]
    model.fit(IMAGES, LABELS, batch_size=8, epochs=2, verbose=0, callbacks=callbacks)
    quarter, half = (
        sum(group.size - count_left(group.size, share) for group in pruner.groups)
        for share in (0.25, 0.5)
    )
    assert gone == [0, 0, quarter, quarter, *[half] * 6]
    small = pruner.strip(IMAGES)
    for group in pruner.groups:
        layer = small.get_layer(group.producers[0])
        assert layer.filters == group.size // 2
    wanted = model(IMAGES, training=False)  # gone channels are silent: the cut is exact
    assert relative_error(wanted, small(IMAGES, training=False)) <= TOLERANCE


def test_named_layers_alone():
    model = networks.residual()
    pruner = FilterPruner(model, {"b1": 0.75, "short": 0.5})
    pruner.step()
    small = pruner.strip()
    assert (small.get_layer("b1").filters, small.get_layer("short").filters) == (3, 6)
    assert (small.get_layer("b2").filters, small.get_layer("a1").filters) == (6, 8)


def test_taylor_in_a_loop_written_by_hand():
    """The choice is that of the scores from the same batches."""
    model = networks.residual()
    optimizer = keras.optimizers.SGD(0.0)
    pruner = FilterPruner(model, 0.5, criterion="taylor", sparse_step=5, frequency=5)

    def loss_of(labels, outputs, variables):
        found = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
        return tf.reduce_mean(found), {}

    batches = [(IMAGES[i : i + 8], LABELS[i : i + 8]) for i in range(0, 40, 8)]
    other = networks.residual()
    live = LiveWeights(other)
    for images, labels in batches:
        with tf.GradientTape() as tape:
            loss, _ = loss_of(labels, model(images, training=False), ())
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        pruner.prepare(gradients)
        optimizer.apply(gradients, variables)
        pruner.step()
    for group in pruner.groups:
        parts = carriers(live.graph, group)
        products = filter_products(other, live, parts, batches, loss_of)
        scores = CRITERIA["taylor"].score(group_filters(group, parts, live.value, products), None)
        wanted = best(scores, group.size // 2, group)
        np.testing.assert_array_equal(pruner.keep()[group.name], wanted)


def test_taylor_needs_the_gradients():
    pruner = FilterPruner(networks.residual(), criterion="taylor")
    with pytest.raises(InputError, match=r"taylor needs gradients, which callbacks do not see"):
        pruner.callback()
    with pytest.raises(InputError, match=r"taylor has seen no gradients: call prepare\(gradients"):
        pruner.step()


def test_the_seed_rules_the_control():
    def kept(seed):
        pruner = FilterPruner(networks.residual(), criterion="random", seed=seed)
        pruner.prune()
        return np.concatenate(list(pruner.keep().values()))

    np.testing.assert_array_equal(kept(1), kept(1))
    assert not np.array_equal(kept(1), kept(2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 1.0}, r"`ratio` must be in \[0, 1\).*Received: 1\.0"),
        ({"ratio": {}}, r"`ratio` must be in \[0, 1\).*Received: \{\}"),
        ({"ratio": {"a9": 0.5}}, r"`ratio`: no layer with filters is named 'a9'\. Did you mean"),
        ({"criterion": "l1"}, r"`criterion`: unknown 'l1'\. .*l1_norm"),
        ({"criterion": "obs"}, r"`criterion`: obs looks at images; it is for the learner filter-p"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        FilterPruner(networks.residual(), **arguments)


def test_steps_that_cannot_be():
    with pytest.raises(ValueError, match=r"`frequency` in 1 to `sparse_step`"):
        FilterPruner(networks.residual(), frequency=3, sparse_step=2)


def test_scales_are_asked_for_before_any_training():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, name="first", activation="relu")(inputs)
    outputs = keras.layers.Conv2D(4, 3)(x)
    with pytest.raises(InputError, match="first"):
        FilterPruner(keras.Model(inputs, outputs), criterion="bn_gamma", pretrain_step=100)


@pytest.mark.parametrize(
    ("optimizer", "steps", "message"),
    [
        (keras.optimizers.SGD(0.01), 2, r"`steps_per_execution` must be 1.*Received: 2"),
        (keras.optimizers.SGD(0.01, use_ema=True), 1, r"`use_ema` of the optimizer must be False"),
    ],
)
def test_what_takes_weights_out_of_its_hands_is_refused(optimizer, steps, message):
    model = networks.residual()
    model.compile(optimizer, "mse", steps_per_execution=steps)
    pruner = FilterPruner(model, 0.5)
    with pytest.raises(InputError, match=message):
        model.fit(IMAGES, LABELS, verbose=0, callbacks=[pruner.callback()])

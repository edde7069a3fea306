"""The loss is the user's alone, and trained as Keras trains it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from nets.config import KerasModelConfig
from nets.keras_model_helper import KerasModelHelper
from tests.users.runs import PRUNING, command, short

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6)).astype(np.float32)
CLASSES = RNG.integers(0, 3, 64)
TARGETS = RNG.normal(size=(64, 2)).astype(np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network(heads, **options):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((6,), name="x")
    hidden = layers.Dense(8, activation="relu", name="hidden")(inputs)
    hidden = layers.Dense(8, activation="relu", name="more")(hidden)
    model = keras.Model(inputs, heads(hidden))
    model.compile(optimizer="sgd", **options)
    return model


def one(**options):
    return network(lambda x: layers.Dense(3, name="c")(x), **options)


def two(structure, **options):
    def heads(x):
        return structure(
            layers.Dense(3, activation="softmax", name="c")(x), layers.Dense(2, name="t")(x)
        )

    return network(heads, **options)


def batches(*data, size=16):
    return tf.data.Dataset.from_tensor_slices(data).batch(size)


LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_the_loss_of_the_report_is_that_of_keras():
    model = one(loss=LOGITS)
    data = batches(X, CLASSES)
    wanted = model.evaluate(data, verbose=0)
    report = short(model, data, data)
    assert report.before.metrics["loss"] == pytest.approx(wanted, rel=1e-6)
    assert report.config["loss_w_dcy"] == 0.0


def test_weight_decay_that_was_asked_for_trains_but_is_not_in_the_figure():
    """A network with fewer weights gains nothing by its smaller penalty."""
    model = one(loss=LOGITS)
    data = batches(X, CLASSES)
    wanted = model.evaluate(data, verbose=0)
    report = short(
        model, data, data, loss_w_dcy=0.5, nb_epochs=1, lrn_rate_init=1e-12, **{"seed": 1}
    )
    penalty = 0.25 * sum(float(np.sum(v.numpy() ** 2)) for v in model.trainable_variables)
    assert report.before.metrics["loss"] == pytest.approx(wanted, rel=1e-5)
    assert report.training[0].loss == pytest.approx(wanted + penalty, rel=1e-4)


def test_after_pruning_too():
    model = one(loss=LOGITS)
    data = batches(X, CLASSES)
    report = short(model, data, data, **PRUNING)
    smaller = report.model
    smaller.compile(loss=LOGITS)
    wanted = smaller.evaluate(data, verbose=0)
    assert report.after.params < report.before.params
    assert report.after.metrics["loss"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("structure", "options"),
    [
        (lambda c, t: [c, t], {"loss": ["sparse_categorical_crossentropy", "mse"]}),
        (
            lambda c, t: [c, t],
            {
                "loss": {"t": "mae", "c": "sparse_categorical_crossentropy"},
                "loss_weights": {"t": 0.25, "c": 2.0},
                "metrics": {"c": "accuracy", "t": ["mae", keras.metrics.R2Score(name="r2")]},
            },
        ),
        (
            lambda c, t: {"c": c, "t": t},
            {
                "loss": {"c": "sparse_categorical_crossentropy", "t": keras.losses.Huber()},
                "loss_weights": {"c": 1.0, "t": 0.5},
                "metrics": {"c": ["acc"]},
            },
        ),
    ],
    ids=["list", "dict_by_name", "dict"],
)
def test_several_outputs(structure, options):
    """Each loss, its weight and its metrics; the loss of training is the same sum."""
    model = two(structure, **options)
    named = {"c": CLASSES, "t": TARGETS}
    data = batches(X, named if isinstance(model.output, dict) else (CLASSES, TARGETS))
    wanted = model.evaluate(data, verbose=0, return_dict=True)
    report = short(model, data, data, nb_epochs=1, lrn_rate_init=1e-12)
    found = {name: report.before.metrics[name] for name in wanted}
    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert report.training[0].loss == pytest.approx(wanted["loss"], rel=1e-4)
    assert any("loss decides, the lower the better" in note for note in report.notes)


def test_training_is_kerass_own():
    """The weights after an epoch are those of `fit` with the same steps."""
    options = {"loss": ["sparse_categorical_crossentropy", "mse"], "loss_weights": [1.0, 0.3]}
    model = two(lambda c, t: [c, t], **options)
    weights = (RNG.random(64).astype(np.float32), RNG.random(64).astype(np.float32))
    data = batches(X, (CLASSES, TARGETS), weights)
    config = KerasModelConfig(batch_size=128, lrn_rate_init=0.05)
    report = short(model, data, data, nb_epochs=1, batch_size=128, lrn_rate_init=0.05)
    helper = KerasModelHelper(model, data, data, config, seed=0)
    model.compile(optimizer=helper.build_optimizer(helper.setup_lrn_rate(1)[0]), **options)
    start = [np.array(weight) for weight in model.weights]
    model.fit(data, shuffle=False, verbose=0)
    assert max(np.abs(a - b).max() for a, b in zip(start, model.weights, strict=True)) > 1e-3
    for ours, kerass in zip(report.model.weights, model.weights, strict=True):
        np.testing.assert_allclose(ours, kerass, rtol=1e-4, atol=1e-6)


HELPER = """
import keras, numpy as np, tensorflow as tf
from nets.abstract_model_helper import AbstractModelHelper

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 6)).astype(np.float32)
y = rng.integers(0, 3, 64)


class ModelHelper(AbstractModelHelper):
    num_epochs = 1

    def build_dataset_train(self):
        return tf.data.Dataset.from_tensor_slices((x, y)).batch(16)

    build_dataset_eval = build_dataset_train

    def forward(self, inputs):
        return keras.layers.Dense(3, name="fc")(inputs)
"""


def test_a_helpers_own_weight_decay_is_not_in_the_figure():
    report = command(HELPER, "--loss_w_dcy=0.5")
    model = keras.saving.load_model("out/model.keras")
    model.compile(loss=LOGITS)
    wanted = model.evaluate(batches(X, CLASSES), verbose=0)
    assert report["after"]["metrics"]["loss"] == pytest.approx(wanted, rel=1e-5)

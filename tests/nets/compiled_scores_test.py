"""The scores are those of `evaluate`; the caller's metric objects stay as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from datasets.given import Weighted
from nets.compiled_scores import CompiledMetrics, CompiledScores
from utils.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = {
    "a": np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 60)],
    "b": RNG.integers(0, 2, (60, 1)).astype(np.float32),
}
W = {"a": RNG.random(60).astype(np.float32), "b": RNG.random(60).astype(np.float32)}


class Share(keras.metrics.Metric):
    """A class of a user's whose config does not tell how it was made."""

    def __init__(self, above=0.5, name="share"):
        super().__init__(name=name)
        self._above = above
        self._found = self.add_weight(name="found", initializer="zeros")
        self._count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        above = keras.ops.cast(y_pred > self._above, "float32")
        self._found.assign_add(keras.ops.sum(above))
        self._count.assign_add(keras.ops.cast(keras.ops.size(y_pred), "float32"))

    def result(self):
        return self._found / self._count


def gap(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred))


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    hidden = layers.Dense(8, activation="relu")(inputs)
    return keras.Model(
        inputs,
        {
            "a": layers.Dense(3, activation="softmax", name="a")(hidden),
            "b": layers.Dense(1, activation="sigmoid", name="b")(hidden),
        },
    )


def options():
    return {
        "loss": {"a": "categorical_crossentropy", "b": "binary_crossentropy"},
        "loss_weights": {"a": 1.0, "b": 0.3},
        "metrics": {
            "a": ["acc", keras.metrics.F1Score(name="f1", average="macro")],
            "b": [keras.metrics.AUC(name="auc"), gap, Share(0.6), "accuracy"],
        },
        "weighted_metrics": {"b": ["mae"]},
    }


def scored(model, arguments, labels, outputs):
    specs = keras.tree.map_structure(lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), labels)
    return CompiledScores(arguments, model.output_names, specs, outputs)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_two_outputs_with_everything(is_weighted):
    model, arguments = network(), options()
    model.compile(**arguments)
    data = (X, Y, W) if is_weighted else (X, Y)
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(16)
    wanted = model.evaluate(dataset, verbose=0, return_dict=True)
    before = [np.asarray(v) for m in model.metrics for v in m.variables]
    labels = Weighted(Y, W) if is_weighted else Y
    compiled = scored(model, arguments, labels, model.output)
    metrics, loss = CompiledMetrics(compiled), 0.0
    for x, *rest in dataset:
        batch = Weighted(*rest) if is_weighted else rest[0]
        outputs = model(x)
        metrics.update_state(batch, outputs)
        loss += len(x) * float(compiled.loss(batch, outputs)) / 60
    found = {name: float(value) for name, value in metrics.result().items()}
    assert found == pytest.approx({k: v for k, v in wanted.items() if k != "loss"}, abs=1e-6)
    assert loss == pytest.approx(wanted["loss"], rel=1e-6)
    assert set(found) == set(compiled.facts)
    after = [np.asarray(v) for m in model.metrics for v in m.variables]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_states_are_independent_and_begin_anew():
    model, arguments = network(), options()
    compiled = scored(model, arguments, Y, model.output)
    first, second = CompiledMetrics(compiled), CompiledMetrics(compiled)
    outputs = model(X)
    first.update_state(Y, outputs)
    second.update_state(Y, keras.tree.map_structure(lambda value: 1.0 - value, outputs))
    alone = {name: float(value) for name, value in first.result().items()}
    assert float(second.result()["b_auc"]) == pytest.approx(1.0 - alone["b_auc"], abs=0.02)
    first.reset_state()
    first.update_state(Y, outputs)
    assert {name: float(value) for name, value in first.result().items()} == alone


def test_what_is_known():
    facts = scored(network(), options(), Y, network().output).facts
    ways = {name: known.higher_is_better for name, known in facts.items()}
    assert ways == {
        "a_acc": True, "a_f1": True, "b_auc": True, "b_gap": None, "b_share": None,
        "b_accuracy": True, "b_mae": False, "a_loss": False, "b_loss": False,
    }  # fmt: skip
    assert all(known.is_partial for known in facts.values())
    assert facts["a_acc"].picks_class and not facts["b_accuracy"].picks_class


def test_means_of_a_batch_are_for_training():
    """Only what is a mean over samples: a mean of AUCs is no AUC."""
    model = network()
    compiled = scored(model, options(), Y, model.output)
    means = compiled.means(Y, model(X))
    assert sorted(means) == ["a_acc", "b_accuracy", "b_gap", "b_mae"]
    right = np.argmax(model(X)["a"], axis=-1) == np.argmax(Y["a"], axis=-1)
    assert float(means["a_acc"]) == pytest.approx(right.mean())


def test_losses_in_a_list_and_for_some_outputs():
    inputs = keras.Input((4,))
    heads = [layers.Dense(3, name="p")(inputs), layers.Dense(1, name="q")(inputs)]
    model = keras.Model(inputs, heads)
    for loss in (["mse", "mae"], ["mse", None]):
        arguments = {"loss": loss}
        model.compile(**arguments)
        labels = (Y["a"], Y["b"])
        wanted = model.evaluate(X, labels, batch_size=60, verbose=0, return_dict=True)["loss"]
        compiled = scored(model, arguments, labels, model.output)
        assert float(compiled.loss(labels, model(X))) == pytest.approx(wanted, rel=1e-6)


def broken(y_true, y_pred):
    raise KeyError("colour")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"loss": "mse", "metrics": {"a": [broken]}},
            r"do not fit the labels .*KeyError: .*colour",
        ),
        ({"loss": {"z": "mse"}}, r"do not fit the labels .*Error: "),
        ({"loss": "no_such_loss"}, r"Could not interpret|no_such_loss"),
    ],
)
def test_what_does_not_fit(arguments, message):
    model = network()
    with pytest.raises(InputError, match=message):
        scored(model, arguments, Y, model.output)

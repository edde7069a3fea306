"""What a model was compiled with, live; what is meant where it was not."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from nets.compile_arguments import compile_arguments, output_meanings, scores_classes
from utils.errors import InputError
from utils.graph.keras_reading import functional_model

CLASSES = tf.TensorSpec((None,), tf.int32)
ONE_HOT = tf.TensorSpec((None, 3), tf.float32)
YES_OR_NO = tf.TensorSpec((None, 1), tf.float32)


def network(outputs=3, activation=None):
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(outputs, activation=activation, name="head")(inputs))


def arguments(model, labels):
    return compile_arguments(model, functional_model(model), labels)


def own(y, p):
    return keras.ops.mean(p)


def test_live_objects_are_handed_on():
    loss, auc = keras.losses.MeanSquaredError(), keras.metrics.AUC()
    model = network()
    model.compile(loss=loss, metrics=[auc, own], weighted_metrics=["mae"], loss_weights=[2.0])
    found, extra = arguments(model, ONE_HOT)
    assert found["loss"] is loss and found["metrics"][0] is auc and found["metrics"][1] is own
    assert (found["weighted_metrics"], found["loss_weights"], extra) == (["mae"], [2.0], None)


@pytest.mark.parametrize(
    ("model", "labels", "name", "from_logits"),
    [
        (network(), CLASSES, "sparse_categorical_crossentropy", True),
        (network(), ONE_HOT, "categorical_crossentropy", True),
        (network(activation="softmax"), CLASSES, "sparse_categorical_crossentropy", False),
        (network(1, "sigmoid"), YES_OR_NO, "binary_crossentropy", False),
        (network(3, "sigmoid"), ONE_HOT, "binary_crossentropy", False),
    ],
)
def test_a_loss_that_the_labels_tell(model, labels, name, from_logits):
    found, extra = arguments(model, labels)
    assert found["loss"].name == name
    assert found["loss"].from_logits is from_logits
    assert len(found["metrics"]) == 1 and extra is None


@pytest.mark.parametrize(
    ("loss", "outputs", "metrics", "labels", "names", "extra"),
    [
        ("sparse_categorical_crossentropy", 3, None, CLASSES, ["accuracy"], None),
        ("crossentropy", 3, None, CLASSES, ["accuracy"], None),
        ("categorical_crossentropy", 3, ["mae"], ONE_HOT, ["mae", "accuracy"], "accuracy"),
        ("categorical_crossentropy", 3, ["acc"], ONE_HOT, ["acc"], None),
        ("categorical_crossentropy", 3, ["categorical_accuracy"], ONE_HOT,
         ["categorical_accuracy"], None),
        ("binary_crossentropy", 1, None, YES_OR_NO, ["accuracy"], None),
        ("binary_crossentropy", 1, ["AUC"], YES_OR_NO, ["AUC"], None),
        ("mse", 3, None, ONE_HOT, [], None),
    ],
)  # fmt: skip
def test_the_accuracy_of_classes_is_there(loss, outputs, metrics, labels, names, extra):
    model = network(outputs)
    model.compile(loss=loss, metrics=metrics)
    found, named = arguments(model, labels)
    found = [getattr(metric, "name", metric) for metric in found["metrics"] or []]
    assert (found, named) == (names, extra)


class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(y_pred)


def test_what_cannot_be_told_is_refused():
    inputs = keras.Input((4,))
    model = OwnLoss(inputs, layers.Dense(3)(inputs))
    model.compile()
    with pytest.raises(InputError, match=r"OwnLoss computes its loss in a compute_loss of its own"):
        arguments(model, ONE_HOT)
    two = keras.Model(inputs, [layers.Dense(3)(inputs), layers.Dense(1)(inputs)])
    with pytest.raises(InputError, match=r"2 outputs that is not compiled. Call model.compile\(lo"):
        arguments(two, (ONE_HOT, YES_OR_NO))
    with pytest.raises(InputError, match=r"neither classes nor one-hot. Call model.compile"):
        arguments(network(1), YES_OR_NO)


@pytest.mark.parametrize(
    ("loss", "meaning"),
    [
        ("mse", "regression"),
        (keras.losses.Huber(), "regression"),
        (keras.losses.mean_absolute_error, "regression"),
        (keras.losses.BinaryCrossentropy(from_logits=True), "bernoulli"),
        ("binary_crossentropy", None),
        ("sparse_categorical_crossentropy", None),
        ("crossentropy", None),
        (own, None),
        (None, None),
    ],
)
def test_what_outputs_mean(loss, meaning):
    assert output_meanings(loss, ["head"], 1) == [meaning]


def test_what_several_outputs_mean():
    both = {"b": "mse", "a": keras.losses.BinaryCrossentropy(from_logits=True)}
    assert output_meanings(both, ["a", "b"], 2) == ["bernoulli", "regression"]
    assert output_meanings(["mse", own], ["a", "b"], 2) == ["regression", None]
    assert output_meanings("mse", ["a", "b"], 2) == ["regression"] * 2


def test_the_private_attribute_of_this_keras_holds_live_objects():
    """Keras has no public way to the objects that `compile` was given."""
    metric = keras.metrics.AUC()
    model = network()
    model.compile(loss="mse", metrics=[metric])
    assert model._compile_config.config["metrics"][0] is metric
    assert np.isfinite(model.evaluate(np.zeros((2, 4)), np.ones((2, 3)), verbose=0)[0])


@pytest.mark.parametrize(
    ("losses", "num_outputs", "is_so"),
    [
        ("sparse_categorical_crossentropy", 1, True),
        (keras.losses.CategoricalCrossentropy(from_logits=True), 1, True),
        (["categorical_crossentropy"], 1, True),
        ("mse", 1, False),
        ("binary_crossentropy", 1, False),
        (["categorical_crossentropy", "mse"], 2, False),
    ],
    ids=["sparse", "one-hot", "list", "regression", "yes or no", "two"],
)
def test_scores_of_classes(losses, num_outputs, is_so):
    assert scores_classes(losses, num_outputs) == is_so

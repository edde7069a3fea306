"""Distillation gets logits from whatever a network ends in."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from tests.users.runs import PRUNING, command, short
from utils.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.random((32, 6, 6, 1), dtype=np.float32)
CLASSES = RNG.integers(0, 3, 32)
STILL = {"enbl_dst": True, "nb_epochs": 1, "lrn_rate_ft": 1e-12, "loss_w_dst": 1.0, **PRUNING}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network(end, classes=3):
    """A network whose sums before its ending are far apart."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    x = layers.Conv2D(6, 3, activation="relu", name="second")(x)
    x = layers.Flatten()(x)
    sums = layers.Dense(classes, kernel_initializer=keras.initializers.RandomNormal(0, 3))
    return keras.Model(inputs, end(sums(x)))


def sums_of(model):
    """What the last layer with weights gives, without what comes behind it."""
    dense = [layer for layer in model._flatten_layers() if isinstance(layer, layers.Dense)][-1]
    return keras.Model(model.inputs, dense.output).predict(IMAGES, verbose=0).astype(np.float64)


def distilled(model, labels, loss, **options):
    """Distillation of a pruned network that is not trained: the metric, and the two networks."""
    model.compile(loss=loss)
    data = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(32)
    report = short(model, data, data, **STILL | options)
    return report.training[0].others["distillation"] / 4.0**2, report.model


def softened(sums):
    powers = np.exp(sums / 4.0)
    return powers / powers.sum(axis=-1, keepdims=True)


def nested(x):
    head = keras.Sequential([keras.Input((3,)), layers.Activation("softmax")], name="top")
    return head(x)


@pytest.mark.parametrize(
    "end",
    [
        layers.Softmax(),
        ops.softmax,
        nested,
        lambda x: layers.Flatten()(layers.Reshape((3, 1))(ops.softmax(x))),
    ],
    ids=["layer", "op", "nested", "reshaped"],
)
def test_probabilities_are_undone(end):
    """As it was, probabilities were taken for logits: 190 times too weak."""
    model = network(end)
    found, smaller = distilled(model, CLASSES, "sparse_categorical_crossentropy")
    wanted, given = softened(sums_of(model)), softened(sums_of(smaller))
    expected = np.mean(np.sum(wanted * np.log(wanted / given), axis=-1))
    assert found == pytest.approx(expected, rel=1e-2)
    assert expected > 1e-3


@pytest.mark.parametrize("end", [layers.Activation("sigmoid"), ops.sigmoid], ids=["layer", "op"])
def test_labels_of_yes_or_no(end):
    model = network(end)
    labels = RNG.integers(0, 2, (32, 3)).astype(np.float32)
    found, smaller = distilled(model, labels, "binary_crossentropy")
    p, q = (1 / (1 + np.exp(-sums_of(each) / 4.0)) for each in (model, smaller))
    expected = np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    assert found == pytest.approx(expected, rel=1e-2)
    assert expected > 1e-3


class Own(layers.Layer):
    def call(self, x):
        return ops.softmax(x)


@pytest.mark.parametrize(
    ("end", "labels", "loss", "message"),
    [
        (
            lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True),
            CLASSES,
            "sparse_categorical_crossentropy",
            r"adds up to 1, but no softmax or sigmoid is found there.*`logits\(outputs\)`",
        ),
        (lambda x: x, np.zeros((32, 3), np.float32), "mse", r"is a regression by its loss.*logits"),
    ],
    ids=["by_hand", "regression"],
)
def test_what_cannot_be_told_is_refused_before_training(end, labels, loss, message, folder):
    with pytest.raises(InputError, match=message):
        distilled(network(end), labels, loss)
    assert not list(folder.rglob("*.keras"))


HELPER = """
import keras, numpy as np, tensorflow as tf
from nets.abstract_model_helper import AbstractModelHelper

rng = np.random.default_rng(0)
images = rng.random((32, 6, 6, 1), dtype=np.float32)
classes = rng.integers(0, 3, 32)


class ModelHelper(AbstractModelHelper):
    num_epochs = 1

    def build_dataset_train(self):
        return tf.data.Dataset.from_tensor_slices((images, classes)).batch(32)

    build_dataset_eval = build_dataset_train

    def forward(self, inputs):
        x = keras.layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
        x = keras.layers.Conv2D(6, 3, activation="relu", name="second")(x)
        x = keras.layers.Flatten()(x)
        wide = keras.initializers.RandomNormal(0, 3)
        return keras.ops.softmax(keras.layers.Dense(3, kernel_initializer=wide)(x))

    def calc_loss(self, labels, outputs, trainable_vars):
        losses = keras.losses.sparse_categorical_crossentropy(labels, outputs)
        return tf.reduce_mean(losses), {}
"""


def test_a_helper_that_ends_in_softmax():
    report = command(
        HELPER, "--learner=full-prec,chn-pruned-rmt", "--nb_epochs=0,1", "--enbl_dst",
        "--loss_w_dst=1", "--lrn_rate_ft=1e-12", "--cpr_nb_smpls=32", "--cpr_nb_crops_per_smpl=2",
    )  # fmt: skip
    before, after = (
        keras.saving.load_model(f"out/{name}.keras") for name in ("model_before", "model")
    )
    wanted, given = softened(sums_of(before)), softened(sums_of(after))
    expected = np.mean(np.sum(wanted * np.log(wanted / given), axis=-1))
    found = report["training"][0]["distillation"] / 4.0**2
    assert found == pytest.approx(expected, rel=1e-2) and expected > 1e-4

"""Whatever form the data come in, the figures are those that Keras has for the same samples."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.users.runs import PRUNING, short
from utils.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.random((50, 6, 6, 1))  # float64, as NumPy gives it
Y = RNG.integers(0, 3, 50)
W = RNG.random(50)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Pairs(keras.utils.PyDataset):
    def __init__(self, *parts):
        super().__init__()
        self.parts = parts

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return tuple(part[16 * index : 16 * index + 16] for part in self.parts)


def classifier(**options):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    x = layers.Conv2D(6, 3, activation="relu", name="second")(x)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


@pytest.mark.parametrize(
    "form",
    [
        lambda *parts: parts,
        lambda *parts: Pairs(*parts),
        lambda *parts: tf.data.Dataset.from_tensor_slices(parts).batch(16),
    ],
    ids=["arrays", "py_dataset", "dataset"],
)
@pytest.mark.parametrize("parts", [(X, Y), (X, Y, W)], ids=["plain", "weighted"])
def test_figures_of_every_form(form, parts):
    model = classifier(weighted_metrics=["sparse_categorical_crossentropy"])
    data = form(*parts)
    x, y, *weights = parts
    wanted = model.evaluate(
        x, y, sample_weight=weights[0] if weights else None, batch_size=50,
        verbose=0, return_dict=True,
    )  # fmt: skip
    report = short(model, data, data, batch_size_eval=50)
    found = {name: report.before.metrics[name] for name in wanted}
    assert found == pytest.approx(wanted, rel=1e-5)


def test_training_on_arrays_to_the_end():
    """Pruned, trained on weighted samples, written as int8."""
    report = short(
        classifier(), (X, Y, W), (X, Y), batch_size=16, nb_epochs=2, tflite="int8",
        tflite_max_gap=1, tflite_min_agreement=0, **PRUNING,
    )  # fmt: skip
    assert [point.step for point in report.training] == [4, 8]
    smaller = report.model
    right = np.mean(np.argmax(smaller.predict(X, verbose=0), axis=-1) == Y)
    assert report.after.top1 == pytest.approx(right)


@pytest.mark.parametrize("as_dict", [False, True])
def test_several_inputs(as_dict):
    keras.utils.set_random_seed(1)
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    x = layers.Concatenate()([layers.Dense(6)(left), layers.Dense(6)(right)])
    model = keras.Model([left, right], layers.Dense(3, activation="softmax")(x))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    a, b = RNG.random((50, 4)), RNG.random((50, 3))
    inputs = {"right": b, "left": a} if as_dict else [a, b]
    wanted = model.evaluate(inputs, Y, batch_size=50, verbose=0, return_dict=True)
    report = short(
        model, (inputs, Y), (inputs, Y), batch_size_eval=50, nb_epochs=1, lrn_rate_init=1e-12,
        tflite="float32", tflite_min_agreement=0,
    )  # fmt: skip
    found = {name: report.before.metrics[name] for name in wanted}
    assert found == pytest.approx(wanted, rel=1e-5)
    assert report.files[-1].gap == 0.0 and report.files[-1].agreement == 1.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tf.data.Dataset.from_tensor_slices((X, Y)), r"takes batches.*Write train_ds.batch\(128\)"),
        (X, r"Add the labels: \(x, y\)"),
        ((X[:, :5], Y), r"inputs of shape \(None, 5, 6, 1\); the network takes \(None, 6, 6, 1\)"),
        ((X, Y[:9]), r"arrays of one length. Received lengths: 50, 9"),
    ],
    ids=["unbatched", "no_labels", "sizes", "lengths"],
)
def test_wrong_data_is_refused_at_once(data, message, folder):
    with pytest.raises(InputError, match=rf"`train_ds` .*{message}"):
        short(classifier(), data, (X, Y))
    assert list(folder.iterdir()) == []

"""`compress` from Python: own models, losses, metrics, data; wrong calls."""

import functools
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import flowpress
from flowpress import compress
from nets.keras_model_helper import KerasModelHelper
from utils.errors import InputError
from utils.report import Report

IMAGES = np.random.default_rng(0).random((64, 8, 8, 1), dtype=np.float32)
LABELS = (IMAGES[:, :, :, 0].mean(axis=(1, 2)) > 0.5).astype(np.int32)
QUICK = {"nb_smpls": 32, "nb_repts": 1, "nb_repts_warmup": 0, "tflite": "none", "nb_epochs": 1}


def batches(labels=LABELS, images=IMAGES, size=16):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(size)


def network(activation=None, outputs=2):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    x = layers.Conv2D(8, 3, activation="relu", name="second")(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(outputs, activation=activation, name="head")(x))


def compiled(loss, activation=None, outputs=2, metrics=None):
    model = network(activation, outputs)
    model.compile(optimizer="sgd", loss=loss, metrics=metrics)
    return model


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def helper_of(model, labels=LABELS):
    """Make the helper inside, to look at loss and metrics without a run."""
    config = flowpress.HelperConfig(loss_w_dcy=0.0)
    return KerasModelHelper(model, batches(labels), batches(labels), config, seed=0)


# --- a whole run ----------------------------------------------------------------------------------


@functools.cache
def finished(root):
    model = compiled("sparse_categorical_crossentropy", "softmax")
    before = [np.array(weight) for weight in model.weights]
    report = compress(
        model, batches(), batches(), prune_ratio=0.5, out_dir=f"{root}/own",
        **QUICK | {"tflite": "float32"},
    )  # fmt: skip
    return model, before, report


@pytest.fixture
def run(tmp_path_factory):
    return finished(tmp_path_factory.getbasetemp())


def test_report_and_files(run):
    _, _, report = run
    assert isinstance(report, Report)
    assert report.after.params < report.before.params
    assert [point.step for point in report.training] == [4]
    assert report.tflite[0].agreement == 1.0
    folder = pathlib.Path(report.after.path).parent
    assert json.loads((folder / "report.json").read_text())["learner"] == ["chn-pruned-rmt"]
    report.model.save("smaller.keras")
    assert keras.saving.load_model("smaller.keras").get_layer("first").filters == 4


def test_figures_are_those_of_keras(run):
    model, _, report = run
    accuracy = np.mean(np.argmax(model.predict(IMAGES, verbose=0), axis=-1) == LABELS)
    assert report.before.top1 == pytest.approx(accuracy)
    assert report.before.params == model.count_params()


def test_callers_model_is_unchanged(run):
    model, before, report = run
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert report.model is not model
    assert model.compiled
    assert model.get_layer("first").filters == 8


# --- losses and metrics ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "activation", "labels"),
    [
        ("sparse_categorical_crossentropy", "softmax", LABELS),
        ("sparse_categorical_crossentropy", "softmax", LABELS[:, None]),
        ("categorical_crossentropy", "softmax", np.eye(2, dtype=np.float32)[LABELS]),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), None, LABELS),
        (keras.losses.CategoricalCrossentropy(from_logits=True), None, np.eye(2)[LABELS]),
    ],
    ids=["sparse", "column", "one_hot", "logits", "one_hot_logits"],
)
@pytest.mark.parametrize("is_compiled", [True, False])
def test_cross_entropies(loss, activation, labels, is_compiled):
    """Compiled or guessed by the shape of the labels: the same loss, and Keras' own value."""
    reference = compiled(loss, activation, metrics=["accuracy"])
    model = reference if is_compiled else network(activation)
    helper = helper_of(model, labels)
    value, metrics = helper.calc_loss(tf.constant(labels), model(IMAGES), [])
    wanted = reference.evaluate(IMAGES, labels, batch_size=64, verbose=0, return_dict=True)
    assert float(value) == pytest.approx(wanted["loss"], rel=1e-4)
    assert list(metrics) == ["accuracy"]
    assert float(metrics["accuracy"]) == pytest.approx(wanted["accuracy"])


def test_compiled_metrics_of_a_regression():
    targets = IMAGES.mean(axis=(1, 2)).astype(np.float32)
    rmse = keras.metrics.RootMeanSquaredError(name="rmse")
    model = compiled("mse", outputs=1, metrics=["mae", rmse])
    value, metrics = helper_of(model, targets).calc_loss(
        tf.constant(targets), model(IMAGES), []
    )  # fmt: skip
    wanted = model.evaluate(IMAGES, targets, batch_size=64, verbose=0, return_dict=True)
    assert float(value) == pytest.approx(wanted["loss"], rel=1e-4)
    assert float(metrics["mean_absolute_error"]) == pytest.approx(wanted["mae"], rel=1e-4)
    assert float(metrics["rmse"]) == pytest.approx(wanted["rmse"], rel=1e-4)
    assert "accuracy" not in metrics


def test_regression_to_the_end():
    targets = IMAGES.mean(axis=(1, 2)).astype(np.float32)
    model = compiled("mse", outputs=1, metrics=["mae"])
    report = compress(model, batches(targets), batches(targets), **QUICK | {"nb_epochs": 0})
    assert report.before.top1 is None
    assert report.before.metrics["mean_absolute_error"] > 0


def test_classes_of_every_pixel():
    labels = (IMAGES[..., 0] > 0.5).astype(np.int32)
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="head")(inputs))
    _, metrics = helper_of(model, labels).calc_loss(tf.constant(labels), model(IMAGES), [])
    right = np.mean(np.argmax(model(IMAGES), axis=-1) == labels)
    assert float(metrics["accuracy"]) == pytest.approx(right)


def test_weight_decay_is_added_to_kernels():
    model = network()
    decayed = KerasModelHelper(
        model, batches(), batches(), flowpress.HelperConfig(loss_w_dcy=0.1), seed=0
    )
    outputs = model(IMAGES)
    plain, _ = helper_of(model).calc_loss(tf.constant(LABELS), outputs, model.trainable_variables)
    value, _ = decayed.calc_loss(tf.constant(LABELS), outputs, model.trainable_variables)
    kernels = [w for w in model.trainable_variables if w.name == "kernel"]
    squares = sum(float(np.sum(np.asarray(kernel) ** 2)) for kernel in kernels)
    assert float(value - plain) == pytest.approx(0.05 * squares, rel=1e-4)


class Subclassed(keras.Model):
    """A model with a `call` of its own."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.first = layers.Conv2D(8, 3, activation="relu")
        self.head = layers.Dense(2)

    def call(self, inputs):
        return self.head(keras.ops.mean(self.first(inputs), axis=(1, 2)))


@pytest.mark.parametrize("kind", ["sequential", "subclassed"])
def test_other_kinds_of_models(kind):
    model = Subclassed()
    if kind == "sequential":
        model = keras.Sequential(
            [keras.Input((8, 8, 1)), layers.Conv2D(8, 3, activation="relu"),
             layers.GlobalAveragePooling2D(), layers.Dense(2)], name="sequential"
        )  # fmt: skip
    wanted = np.asarray(model(IMAGES))
    helper = helper_of(model)
    copy = helper.build_model()
    np.testing.assert_allclose(copy(IMAGES), wanted, atol=1e-6)
    assert helper.model_name == kind
    assert not {id(w) for w in copy.weights} & {id(w) for w in model.weights}


def test_epochs_are_counted_in_batches():
    helper = helper_of(network())
    assert (helper.steps_per_epoch, helper.nb_smpls_train) == (4, 64)
    assert helper.setup_lrn_rate(2)[1] == 8
    assert helper.build_dataset_train().cardinality() == tf.data.INFINITE_CARDINALITY


# --- wrong calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prune_ration": 0.5}, r"no option 'prune_ration'. Did you mean '(cpr_)?prune_ratio'\?"),
        ({"prune_ratio": 1}, r"`cpr_prune_ratio` must be in \[0, 1\). Received: 1. 1 was legal"),
        ({"cpr_prune_ratio": "half"}, r"`cpr_prune_ratio` must be in \[0, 1\). Received: 'half'"),
        ({"model_helper": "x.py"}, r"compress\(\) has no option 'model_helper'"),
        ({"pretrained_path": "x.keras"}, r"compress\(\) has no option 'pretrained_path'"),
        ({"exec_mode": "eval"}, r"compress\(\) has no option 'exec_mode'"),
        ({"learner": "prune"}, r"Unknown learner 'prune' in learner. .*Valid: "),
        ({"nb_epochs": "1,2"}, r"`nb_epochs` must be one number or one per stage \(1\)"),
        ({"budget": "flops:2"}, r"`budget` must be .*Received: 'flops:2'"),
        ({"out_dir": "file/below"}, r"cannot write .*file is a file, not a folder"),
        ({"seed": 1.5}, r"`seed` must be in \[0, 2147483647\]. Received: 1.5"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_options(options, message, folder):
    (folder / "file").write_text("")
    with pytest.raises(InputError, match=message):
        compress(network(), batches(), batches(), **options)
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (lambda: batches().repeat(), r"`train_ds` must have a known, finite length"),
        (
            lambda: batches().filter(lambda images, labels: True),
            r"`train_ds` must have a known, finite length. Add .*assert_cardinality",
        ),
        (lambda: (IMAGES, LABELS), r"`train_ds` must be a tf.data.Dataset.*Received: tuple"),
        (lambda: batches().map(lambda images, labels: images), r"`train_ds` must give pairs"),
        (lambda: batches().take(0), r"`train_ds` must have a known, finite length"),
    ],
    ids=["infinite", "unknown", "arrays", "images", "empty"],
)
def test_wrong_data(train, message, folder):
    with pytest.raises(InputError, match=message):
        compress(network(), train(), batches())
    with pytest.raises(InputError, match=message.replace("train_ds", "eval_ds")):
        compress(network(), batches(), train())
    assert list(folder.iterdir()) == []


def test_labels_beyond_the_classes(folder):
    wrong = LABELS + 4
    with pytest.raises(InputError, match=r"Received a label value of [45] which is outside"):
        compress(network(), batches(wrong), batches(wrong), **QUICK)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "labels", "message"),
    [
        (lambda: "model", LABELS, r"expected a keras.Model. Received: builtins.str"),
        (lambda: keras.Sequential([layers.Dense(2)]), LABELS, r"is not built"),
        (Subclassed, LABELS, r"has not been called yet"),
        (lambda: network(outputs=1), LABELS, r"cannot tell the loss: the model is not compiled"),
        (network, LABELS.astype(np.float32), r"cannot tell the loss: .*neither classes nor one-h"),
        (lambda: compiled(["mse"]), LABELS, r"needs one compiled loss. Received: .*'mse'"),
    ],
    ids=["text", "unbuilt", "uncalled", "regression", "floats", "list"],
)
def test_wrong_models(model, labels, message):
    with pytest.raises(InputError, match=message):
        compress(model(), batches(labels), batches(labels))


def test_two_outputs():
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(inputs)
    model = keras.Model(inputs, [layers.Dense(2)(x), layers.Dense(3)(x)])
    with pytest.raises(InputError, match=r"needs a model with one output .*Received 2 outputs"):
        compress(model, batches(), batches())


def test_import_is_light():
    code = "import sys, flowpress; sys.exit('tensorflow' in sys.modules)"
    root = pathlib.Path(flowpress.__file__).parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_softmax_is_undone_for_distillation():
    """A network that ends in softmax is distilled from logits, not from its probabilities."""
    import flowpress

    x = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(x)
    model = keras.Model(x, keras.layers.Dense(3, activation="softmax")(flat))
    data = tf.data.Dataset.from_tensor_slices(
        (np.zeros((4, 8, 8, 1), "float32"), np.array([0, 1, 2, 0]))
    ).batch(2)
    helper = KerasModelHelper(model, data, data, flowpress.HelperConfig(), seed=0)
    logits = np.array([[4.0, 0.0, -2.0]], "float32")
    back = np.asarray(helper.logits(keras.ops.softmax(logits)))
    np.testing.assert_allclose(back - back[:, :1], logits - logits[:, :1], atol=1e-4)

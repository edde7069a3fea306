"""Metrics are Keras' metrics: of the network, of its files, in a search, from the command line."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.users.runs import PRUNING, command, interpreted, over_all, short
from utils.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = 0.4 * RNG.random((96, 6, 6, 1)) + 0.6 * RNG.random((96, 1, 1, 1))
IMAGES = IMAGES.astype(np.float32)
MEANS = IMAGES.mean(axis=(1, 2, 3))
YES = (MEANS > 0.5).astype(np.float32)[:, None]
ORDER = np.argsort(YES[:, 0], kind="stable")  # sorted by class: no batch has both but one
PARTS = IMAGES.reshape(96, 2, 3, 2, 3).mean(axis=(2, 4)).reshape(96, 4)
SEVERAL = (PARTS > 0.5).astype(np.float32)
MASKS = (IMAGES > 0.5).astype(np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def batches(labels, images=IMAGES, size=32):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(size)


def classifier(outputs, activation, **options):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 6, 1), name="images")
    x = layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    x = layers.Conv2D(6, 3, activation="relu", name="second")(x)
    x = layers.Flatten()(x)
    model = keras.Model(inputs, layers.Dense(outputs, activation=activation, name="head")(x))
    model.compile(optimizer=keras.optimizers.Adam(0.01), **options)
    return model


def segmenter(channels, activation, **options):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 6, 1), name="images")
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    model = keras.Model(inputs, layers.Conv2D(channels, 1, activation=activation)(x))
    model.compile(optimizer=keras.optimizers.Adam(0.03), **options)
    return model


def check(model, labels, images=IMAGES, *, epochs=20, **options):
    """Compare the report's figures of the network with `evaluate`."""
    model.fit(images, labels, epochs=epochs, verbose=0)
    held_out = batches(labels, images)
    wanted = model.evaluate(held_out, verbose=0, return_dict=True)
    report = short(model, held_out, held_out, **options)
    assert {n: report.before.metrics[n] for n in wanted} == pytest.approx(wanted, abs=1e-5)
    return report, wanted


@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_yes_or_no(name):
    model = classifier(1, "sigmoid", loss="binary_crossentropy", metrics=[name])
    report, wanted = check(model, YES)
    right = np.mean((model.predict(IMAGES, verbose=0) > 0.5) == YES)
    assert report.before.top1 == pytest.approx(wanted[name]) == pytest.approx(right)
    assert right > 0.5


@pytest.mark.parametrize("metrics", [["binary_accuracy"], ["accuracy"], None])
def test_several_labels_per_image(metrics):
    """By its own name Keras takes "accuracy" of several outputs for that of one class."""
    model = classifier(4, "sigmoid", loss="binary_crossentropy", metrics=metrics)
    # Trained little: sigmoids that have reached 1 tie, and who wins then is a matter of rounding.
    report, wanted = check(model, SEVERAL, epochs=3)
    right = np.mean((model.predict(IMAGES, verbose=0) > 0.5) == SEVERAL)
    expected = wanted["accuracy"] if metrics == ["accuracy"] else right
    assert report.before.top1 == pytest.approx(expected)


@pytest.mark.parametrize(
    ("channels", "activation", "loss", "labels"),
    [
        (1, "sigmoid", "binary_crossentropy", MASKS),
        (2, "softmax", "sparse_categorical_crossentropy", MASKS.astype(np.int32)),
        (2, "softmax", "sparse_categorical_crossentropy", MASKS[..., 0].astype(np.int32)),
        (2, "softmax", "categorical_crossentropy", np.concatenate([1 - MASKS, MASKS], axis=-1)),
    ],
    ids=["yes_or_no", "classes", "classes_flat", "one_hot"],
)
def test_masks(channels, activation, loss, labels):
    model = segmenter(channels, activation, loss=loss, metrics=["accuracy"])
    report, wanted = check(model, labels)
    assert report.before.top1 == pytest.approx(wanted["accuracy"]) and wanted["accuracy"] > 0.5


def test_what_is_no_mean_over_batches():
    metrics = [
        keras.metrics.AUC(name="auc"),
        keras.metrics.Precision(name="precision"),
        keras.metrics.Recall(name="recall"),
        keras.metrics.F1Score(name="f1", threshold=0.5, average="micro"),
        keras.metrics.BinaryIoU(name="iou"),
        keras.metrics.R2Score(name="r2"),
    ]
    model = classifier(1, "sigmoid", loss="binary_crossentropy", metrics=metrics)
    report, _ = check(model, YES[ORDER], IMAGES[ORDER])
    outputs = model.predict(IMAGES[ORDER], verbose=0)
    auc = over_all(keras.metrics.AUC(), YES[ORDER], outputs)
    assert report.before.metrics["auc"] == pytest.approx(auc, abs=1e-6) and auc > 0.8
    assert any("auc decides, the higher the better" in note for note in report.notes)


def test_mean_iou_of_classes():
    metric = keras.metrics.MeanIoU(num_classes=2, sparse_y_pred=False, name="iou")
    loss = "sparse_categorical_crossentropy"
    model = segmenter(2, "softmax", loss=loss, metrics=[metric])
    report, _ = check(model, MASKS.astype(np.int32))
    chosen, right = model.predict(IMAGES, verbose=0).argmax(-1), MASKS[..., 0].astype(int)
    both = [np.sum((chosen == k) & (right == k)) for k in (0, 1)]
    either = [np.sum((chosen == k) | (right == k)) for k in (0, 1)]
    wanted = np.mean(np.divide(both, either))
    assert report.before.metrics["iou"] == pytest.approx(wanted, abs=1e-6)


class Within(keras.metrics.Metric):
    """A class of the user's that does not tell its config how it was made."""

    def __init__(self, distance=0.5):
        super().__init__(name="within")
        self.distance = distance
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        near = keras.ops.abs(keras.ops.cast(y_true, "float32") - y_pred) < self.distance
        self.hits.assign_add(keras.ops.sum(keras.ops.cast(near, "float32")))
        self.seen.assign_add(keras.ops.cast(keras.ops.size(y_pred), "float32"))

    def result(self):
        return self.hits / self.seen


def spread(y_true, y_pred):
    return keras.ops.std(y_pred, axis=-1)


def test_functions_and_classes_of_ones_own():
    own = Within(0.2)
    metrics, weighted = [spread, own, "mae"], [keras.metrics.BinaryAccuracy(name="hits")]
    model = classifier(
        4, "sigmoid", loss="binary_crossentropy", metrics=metrics, weighted_metrics=weighted
    )
    report, _ = check(model, SEVERAL)
    near = np.mean(np.abs(model.predict(IMAGES, verbose=0) - SEVERAL) < 0.2)
    assert report.before.metrics["within"] == pytest.approx(near)
    assert float(own.seen) == SEVERAL.size  # its state is still that of the user's evaluation


def test_a_file_is_scored_as_the_network_is():
    metrics = [keras.metrics.AUC(name="auc"), keras.metrics.Recall(name="recall")]
    model = classifier(1, "sigmoid", loss="binary_crossentropy", metrics=metrics)
    report, wanted = check(
        model, YES[ORDER], IMAGES[ORDER], tflite="int8", tflite_max_gap=1, tflite_max_error=9
    )
    outputs = interpreted(report.file("int8").path, IMAGES[ORDER])
    auc = over_all(keras.metrics.AUC(), YES[ORDER], outputs)
    assert report.file("int8").gap == pytest.approx(wanted["auc"] - auc, abs=1e-5)


def test_a_file_that_loses_is_not_passed_over():
    """By argmax, as it was, network and file both scored 0 and the gap was 0."""
    model = classifier(1, "sigmoid", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(IMAGES, YES, epochs=30, verbose=0)
    dark = batches(YES, IMAGES / 50)  # what the int8 ranges are taken from
    with pytest.raises(InputError, match=r"int8 .* differs too much .*: accuracy 0\.\d+ against"):
        short(model, dark, batches(YES), tflite="int8", tflite_max_error=99)


def test_rewards_of_a_search():
    metrics = [keras.metrics.AUC(name="auc")]
    model = classifier(1, "sigmoid", loss="binary_crossentropy", metrics=metrics)
    model.fit(IMAGES, YES, epochs=30, verbose=0)
    data = batches(YES)
    options = {
        "budget": "flops:0.6", "agent": "random", "search": True, "nb_rlouts": 2,
        "nb_rlouts_min": 1, "nb_smpls_search": 64, "nb_smpls_bn": 0,
    }  # fmt: skip
    report = short(model, data, data, **PRUNING | options)
    (search,) = report.searches
    rewards = [rollout.reward for rollout in search.rollouts]
    assert all(0.3 < reward <= 1.0 for reward in rewards)


def test_which_metric_decides_is_settable():
    metrics = ["accuracy", keras.metrics.Recall(name="recall")]
    model = classifier(1, "sigmoid", loss="binary_crossentropy", metrics=metrics)
    report, _ = check(model, YES, metric="recall")
    assert any("recall (--metric) decides" in note for note in report.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "recal"}, r"no metric 'recal'. Did you mean 'recall'\? Valid: .*spread"),
        ({"metric": "spread"}, r"which way 'spread' is better is not known.*metric_mode"),
        ({"metric_mode": "max"}, r"`metric_mode` has no effect without `metric`"),
    ],
)
def test_what_cannot_decide_is_refused_before_training(options, message, folder):
    metrics = [spread, keras.metrics.Recall(name="recall")]
    model = classifier(1, "sigmoid", loss="binary_crossentropy", metrics=metrics)
    with pytest.raises(InputError, match=message):
        short(model, batches(YES), batches(YES), **options)
    assert not list(folder.rglob("*.keras"))


HELPER = """
import keras, numpy as np, tensorflow as tf
from nets.abstract_model_helper import AbstractModelHelper

rng = np.random.default_rng(0)
images = 0.4 * rng.random((96, 6, 6, 1)) + 0.6 * rng.random((96, 1, 1, 1))
images = images.astype(np.float32)
labels = (images.mean(axis=(1, 2, 3)) > 0.5).astype(np.float32)[:, None]
order = np.argsort(labels[:, 0], kind="stable")


class ModelHelper(AbstractModelHelper):
    num_epochs = 1

    def build_dataset_train(self):
        return tf.data.Dataset.from_tensor_slices((images, labels)).batch(32)

    def build_dataset_eval(self):
        return tf.data.Dataset.from_tensor_slices((images[order], labels[order])).batch(32)

    def forward(self, inputs):
        x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
        return keras.layers.Dense(1, name="fc")(keras.layers.Flatten()(x))

    def calc_loss(self, labels, outputs, trainable_vars):
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs))
        kernels = [v for v in trainable_vars if v.path.startswith("conv") and "kernel" in v.name]
        loss += 0.1 * tf.add_n([tf.nn.l2_loss(v) for v in kernels])
        right = tf.cast(tf.equal(outputs > 0, labels > 0.5), tf.float32)
        return loss, {"accuracy": tf.reduce_mean(right)}

    def build_metrics(self):
        return [keras.metrics.AUC(from_logits=True, name="auc")]

    def postprocess(self, outputs):
        return outputs > 0

    def dump_n_eval(self, outputs, action):
        if action == "init":
            self.found = []
        elif action == "dump":
            self.found.append(np.asarray(outputs))
        else:
            return {"found": float(np.sum(np.concatenate(self.found)))}
"""


def test_a_helper_of_ones_own():
    """Its loss adds up variables by name; its AUC and what it collects see the whole set."""
    report = command(
        HELPER, "--tflite=int8", "--tflite_max_gap=1", "--tflite_max_error=9", "--metric=auc"
    )
    model = keras.saving.load_model("out/model.keras")
    order = np.argsort(YES[:, 0], kind="stable")
    outputs = model.predict(IMAGES[order], verbose=0)
    auc = over_all(keras.metrics.AUC(from_logits=True), YES[order], outputs)
    found = report["after"]["metrics"]
    assert found["auc"] == pytest.approx(auc, abs=1e-5)
    assert found["found"] == np.sum(outputs > 0)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(YES[order], outputs)
    assert found["loss"] == pytest.approx(float(np.mean(loss)), rel=1e-5)
    file = interpreted("out/model_int8.tflite", IMAGES[order])
    of_file = over_all(keras.metrics.AUC(from_logits=True), YES[order], file)
    (row,) = (row for row in report["files"] if row["network"] == "after")
    assert row["gap"] == pytest.approx(auc - of_file, abs=1e-5)

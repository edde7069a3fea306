"""Data, loss and metrics of a model that exists; the values are Keras' own `evaluate`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from nets.config import KerasModelConfig
from nets.keras_model_helper import KerasModelHelper
from utils.errors import InputError
from utils.training import evaluate

IMAGES = np.random.default_rng(0).random((64, 8, 8, 1), dtype=np.float32)
LABELS = (IMAGES[:, :, :, 0].mean(axis=(1, 2)) > 0.5).astype(np.int32)


def batches(labels=LABELS, images=IMAGES, size=16):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(size)


def network(activation=None, outputs=2):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(outputs, activation=activation, name="head")(x))


def compiled(loss, activation=None, outputs=2, **options):
    model = network(activation, outputs)
    model.compile(optimizer="sgd", loss=loss, **options)
    return model


def helper_of(model, labels=LABELS, **config):
    return KerasModelHelper(
        model, batches(labels), batches(labels), KerasModelConfig(**config), seed=0
    )


@pytest.mark.parametrize(
    ("loss", "activation", "outputs", "labels"),
    [
        ("sparse_categorical_crossentropy", "softmax", 2, LABELS),
        ("sparse_categorical_crossentropy", "softmax", 2, LABELS[:, None]),
        ("categorical_crossentropy", "softmax", 2, np.eye(2, dtype=np.float32)[LABELS]),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), None, 2, LABELS),
        (keras.losses.CategoricalCrossentropy(from_logits=True), None, 2, np.eye(2)[LABELS]),
        ("binary_crossentropy", "sigmoid", 1, LABELS[:, None]),
        ("binary_crossentropy", "sigmoid", 1, LABELS),
    ],
    ids=["sparse", "column", "one_hot", "logits", "one_hot_logits", "binary", "binary_flat"],
)
@pytest.mark.parametrize("is_compiled", [True, False])
def test_cross_entropies(loss, activation, outputs, labels, is_compiled):
    """Compiled or guessed by the shape of the labels: the same loss, and Keras' own value."""
    reference = compiled(loss, activation, outputs, metrics=["accuracy"])
    model = reference if is_compiled else network(activation, outputs)
    helper = helper_of(model, labels)
    wanted = reference.evaluate(batches(labels), verbose=0, return_dict=True)
    scores = evaluate(model, None, helper)
    assert list(scores) == ["loss", "accuracy"]
    assert scores == pytest.approx(wanted, rel=1e-5)
    assert scores.deciding.name == "accuracy" and scores.top1 == scores["accuracy"]
    value, metrics = helper.calc_loss(tf.constant(labels), model(IMAGES), [])
    assert float(value) == pytest.approx(wanted["loss"], rel=1e-4)
    assert float(metrics["accuracy"]) == pytest.approx(wanted["accuracy"])


def test_the_accuracy_of_yes_and_no_from_logits():
    """Nobody asked for it, so it is ours: yes is above 0."""
    model = compiled(keras.losses.BinaryCrossentropy(from_logits=True), outputs=1)
    right = np.mean((model.predict(IMAGES, verbose=0)[:, 0] > 0) == LABELS)
    scores = evaluate(model, None, helper_of(model, LABELS[:, None]))
    assert scores["accuracy"] == pytest.approx(right)


def test_an_accuracy_nobody_asked_for_does_not_decide():
    model = compiled("categorical_crossentropy", "softmax", metrics=[keras.metrics.AUC(name="auc")])
    one_hot = np.eye(2, dtype=np.float32)[LABELS]
    scores = evaluate(model, None, helper_of(model, one_hot))
    wanted = model.evaluate(batches(one_hot), verbose=0, return_dict=True)
    assert scores["auc"] == pytest.approx(wanted["auc"], abs=1e-6)
    right = np.mean(np.argmax(model.predict(IMAGES, verbose=0), axis=-1) == LABELS)
    assert scores.top1 == pytest.approx(right)
    assert scores.deciding.name == "auc"


def test_compiled_metrics_of_a_regression():
    targets = IMAGES.mean(axis=(1, 2)).astype(np.float32)
    rmse = keras.metrics.RootMeanSquaredError(name="rmse")
    model = compiled("mse", outputs=1, metrics=["mae", rmse])
    helper = helper_of(model, targets)
    wanted = model.evaluate(batches(targets), verbose=0, return_dict=True)
    scores = evaluate(model, None, helper)
    assert scores == pytest.approx(wanted, rel=1e-5)
    assert (scores.deciding.name, scores.deciding.higher_is_better) == ("mae", False)
    assert scores.top1 is None
    _, metrics = helper.calc_loss(tf.constant(targets), model(IMAGES), [])
    assert list(metrics) == ["mae"]  # the root of a mean is no mean over batches


def test_classes_of_every_pixel():
    labels = (IMAGES[..., 0] > 0.5).astype(np.int32)
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="head")(inputs))
    right = np.mean(np.argmax(model(IMAGES), axis=-1) == labels)
    assert evaluate(model, None, helper_of(model, labels))["accuracy"] == pytest.approx(right)


def test_penalties_of_layers_are_not_in_the_loss():
    """Keras' `evaluate` adds them; a network with fewer weights would look better by them."""
    inputs = keras.Input((8, 8, 1))
    head = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.1))
    model = keras.Model(inputs, head(layers.Flatten()(inputs)))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    penalty = 0.1 * np.sum(head.kernel.numpy() ** 2)
    wanted = model.evaluate(batches(), verbose=0) - penalty
    assert penalty > 0.01
    assert evaluate(model, None, helper_of(model))["loss"] == pytest.approx(wanted, rel=1e-4)


def test_weight_decay_only_where_it_was_asked_for():
    model = network()
    outputs, variables = model(IMAGES), model.trainable_variables
    labels = tf.constant(LABELS)
    plain, _ = helper_of(model).calc_loss(labels, outputs, variables)
    assert float(plain) == float(helper_of(model).calc_loss(labels, outputs, [])[0])
    decayed = helper_of(model, loss_w_dcy=0.1)
    value, _ = decayed.calc_loss(labels, outputs, variables)
    kernels = [w for w in variables if w.name == "kernel"]
    squares = sum(float(np.sum(np.asarray(kernel) ** 2)) for kernel in kernels)
    assert float(value - plain) == pytest.approx(0.05 * squares, rel=1e-4)
    assert evaluate(model, None, decayed)["loss"] == pytest.approx(float(plain), rel=1e-5)


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


def test_logits_are_found_on_the_network():
    model = network("softmax", outputs=3)
    helper = helper_of(model)
    helper.find_logits(helper.build_model())
    logits = np.array([[4.0, 0.0, -2.0]], "float32")
    back = np.asarray(helper.logits(keras.ops.softmax(logits)))
    np.testing.assert_allclose(back - back[:, :1], logits - logits[:, :1], atol=1e-4)


def test_the_loss_tells_whether_classes_are_scored():
    assert helper_of(network("softmax", outputs=3)).scores_classes
    assert not helper_of(compiled("mse", outputs=2), IMAGES[:, 0, :2, 0]).scores_classes


def test_the_loss_tells_what_logits_are():
    model = compiled(keras.losses.BinaryCrossentropy(from_logits=True), outputs=1)
    helper = helper_of(model, LABELS[:, None])
    helper.find_logits(helper.build_model())
    assert helper.logits(keras.ops.zeros((5, 1))).shape == (5, 1, 2)
    regression = helper_of(compiled("mse", outputs=2), IMAGES[:, 0, :2, 0])
    with pytest.raises(
        InputError, match=r"Distillation: the output of layer 'head' is a regressio"
    ):
        regression.find_logits(regression.build_model())


@pytest.mark.parametrize(
    ("model", "labels", "message"),
    [
        (lambda: "model", LABELS, r"expected a keras.Model. Received: builtins.str"),
        (lambda: keras.Sequential([layers.Dense(2)]), LABELS, r"is not built"),
        (Subclassed, LABELS, r"has not been called yet"),
        (lambda: network(outputs=1), LABELS, r"cannot tell the loss: the model is not compiled"),
        (network, LABELS.astype(np.float32), r"cannot tell the loss: .*neither classes nor one-h"),
    ],
    ids=["text", "unbuilt", "uncalled", "regression", "floats"],
)
def test_wrong_models(model, labels, message):
    with pytest.raises(InputError, match=message):
        helper_of(model(), labels)


def test_labels_of_two_forms():
    one_hot = batches(np.eye(2, dtype=np.float32)[LABELS])
    with pytest.raises(
        InputError, match=r"labels of one form. Received: \[\(None, 2\)\] and \[\(N"
    ):
        KerasModelHelper(network(), one_hot, batches(), KerasModelConfig(), seed=0)


def test_labels_without_their_weights():
    model = compiled("sparse_categorical_crossentropy", "softmax")
    data = IMAGES, LABELS, np.full(64, 0.5, np.float32)
    helper = KerasModelHelper(model, data, data, KerasModelConfig(), seed=0)
    labels = next(iter(helper.build_dataset_eval()))[1]
    np.testing.assert_array_equal(helper.plain_labels(labels), LABELS)
    plain = np.array([1, 2])
    assert helper.plain_labels(plain) is plain


def test_workers_take_batches_in_turns():
    """Of 7 batches, 64 images by tens, each of 2 workers takes 3 an epoch."""
    helpers = []
    for rank in range(2):
        data = (IMAGES, LABELS)
        helper = KerasModelHelper(network(), data, data, KerasModelConfig(batch_size=10), seed=3)
        helper.worker = (rank, 2)
        assert helper.steps_per_epoch == 3
        helpers.append(helper)
    whole = KerasModelHelper(network(), data, data, KerasModelConfig(batch_size=10), seed=3)
    expected = list(whole.build_dataset_train().take(8).as_numpy_iterator())
    for rank, helper in enumerate(helpers):
        for step, (images, _) in enumerate(
            helper.build_dataset_train().take(4).as_numpy_iterator()
        ):
            np.testing.assert_array_equal(images, expected[2 * step + rank][0])


def test_samples_that_are_held_out():
    """The last 24 of 64 are neither trained on nor sampled where some are held out."""
    data = (IMAGES, LABELS)
    config = KerasModelConfig(batch_size=10, batch_size_eval=7)
    helper = KerasModelHelper(network(), data, data, config, seed=3, num_held_out=24)
    training, held_out = helper.build_dataset_train(True)
    seen = np.concatenate([images for images, _ in training.take(4).as_numpy_iterator()])
    assert {row.tobytes() for row in seen} == {row.tobytes() for row in IMAGES[:40]}
    images, labels = (np.concatenate(part) for part in zip(*held_out, strict=True))
    np.testing.assert_array_equal(images, IMAGES[40:])
    np.testing.assert_array_equal(labels, LABELS[40:])
    sampled = helper.build_dataset_calibration(50).unbatch().as_numpy_iterator()
    np.testing.assert_array_equal([image for image, _ in sampled], IMAGES[:40])
    everything = helper.build_dataset_train().take(helper.steps_per_epoch).unbatch()
    assert sum(1 for _ in everything) == 64


def test_nothing_is_held_out_where_nobody_says_so():
    helper = KerasModelHelper(network(), (IMAGES, LABELS), batches(), KerasModelConfig(), seed=0)
    with pytest.raises(InputError, match="no samples can be held out"):
        helper.build_dataset_train(True)

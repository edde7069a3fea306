"""What can be known from the first batches is said before training, with its cause."""

import ai_edge_litert.interpreter as litert
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pipeline.rehearsal import diagnosis, try_batches, try_files, try_training
from tests.nets.abstract_model_helper_test import IMAGES, LABELS, Tiny, helper
from utils import flags
from utils.errors import InputError
from utils.export.config import ExportConfig
from utils.export.tflite import convert


def of(images, labels=LABELS, *, also_eval=False):
    """A helper whose training data (and evaluation data) are these."""

    class Given(Tiny):
        def build_dataset_train(self):
            return tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)

        def build_dataset_eval(self):
            return self.build_dataset_train().take(5) if also_eval else super().build_dataset_eval()

    return helper(Given)


def unchanged(model, before):
    return all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_batch_changes_nothing():
    one = helper()
    model = one.build_model()
    before = model.get_weights()
    try_batches(one, model)
    assert unchanged(model, before)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:, :5], LABELS, r"failed: .*inputs \(5, 6, 1\), the network wants \(6, 6, 1\)\. R"),
        (IMAGES * np.nan, LABELS, r"is nan\. 4 of 4 inputs .* hold NaN .*, number 0 the first"),
        (IMAGES, LABELS + 5, r"labels of the batch lie in 5\.\.7, the network has 3 classes: 0"),
        (IMAGES, np.eye(4, dtype=np.float32)[LABELS], r"labels have 4 places, the network 3 outp"),
    ],
    ids=["shape", "nan", "classes", "one-hot"],
)  # fmt: skip
def test_causes_are_named(images, labels, message):
    with pytest.raises(InputError, match=message):
        try_batches(of(images, labels), helper().build_model())


def test_a_python_condition_over_tensors_which_training_cannot_run():
    class Branching(Tiny):
        def calc_loss(self, labels, outputs, trainable_vars):
            loss, metrics = super().calc_loss(labels, outputs, trainable_vars)
            return (loss if loss > 1 else 2 * loss), metrics

    one = helper(Branching)
    with pytest.raises(InputError, match=r"calc_loss failed: OperatorNotAllowed"):
        try_batches(one, one.build_model())


def test_weights_that_are_not_finite():
    one = helper()
    model = one.build_model()
    model.get_layer("fc").kernel.assign(np.full((36, 3), np.nan))
    with pytest.raises(InputError, match=r"build_dataset_train is nan\. Give a network with fini"):
        try_batches(one, model)


def dense(shape, num_outputs=3):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Dense(num_outputs)(layers.Flatten()(inputs)))


def test_channels_in_front():
    images = np.zeros((4, 3, 8, 8), np.float32)
    assert "the channels come first in the data" in diagnosis(images, LABELS[:4], dense((8, 8, 3)))


def test_no_batch():
    image = np.zeros((8, 8, 3), np.float32)
    assert "not in a batch. Add .batch(128)" in diagnosis(image, LABELS[0], dense((8, 8, 3)))


def test_number_of_inputs():
    images = np.zeros((4, 8, 8, 3), np.float32)
    message = "The network has 1 inputs, the data give 2."
    assert diagnosis((images, images), LABELS[:4], dense((8, 8, 3))) == message


@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS[:, None], np.eye(3, dtype=np.float32)[LABELS], LABELS.astype(np.float32)],
)
def test_nothing_is_said_of_what_is_right(labels):
    assert diagnosis(IMAGES, labels, helper().build_model()) is None


def test_a_regression_may_have_any_labels():
    labels = np.linspace(-500, 900, 20, dtype=np.float32)
    assert diagnosis(IMAGES, labels[:, None], dense((6, 6, 1), num_outputs=1)) is None


def test_steps_are_undone():
    one = helper()
    model = one.build_model()
    before = model.get_weights()
    try_training(one, model, 0.1)
    assert unchanged(model, before)


def test_divergence_has_a_cause():
    images = np.round(255 * IMAGES)
    one = of(images * 1e4)
    model = one.build_model()
    before = model.get_weights()
    with pytest.raises(
        InputError, match=r"training diverges: .* before step \d\. The inputs lie in"
    ):
        try_training(one, model, 1e35)
    assert unchanged(model, before)
    with pytest.raises(InputError, match=r"The learning rate 1e\+38 may be too high: try 1e\+37"):
        try_training(helper(loss_w_dcy=1.0), model, 1e38)


# --- files ----------------------------------------------------------------------------------------


def config(tflite="float32,int8"):
    return flags.build(ExportConfig, {"tflite": tflite})


def test_files_of_a_common_network():
    one = helper()
    model = one.build_model()
    before = model.get_weights()
    try_files(one, {"before": model}, config())
    assert unchanged(model, before)


def test_a_file_that_cannot_be_made_is_known_at_the_start():
    inputs = keras.Input((None, None, 1))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(x))
    with pytest.raises(InputError, match=r"the float32 file of this network could not be made .*"):
        try_files(helper(), {"before": model}, config())
    try_files(helper(), {"before": model}, config("none"))


def test_operators_that_the_target_lacks_are_named_at_the_start(capsys):
    inputs = keras.Input((6, 6, 1))
    x = keras.ops.cumsum(layers.Conv2D(4, 3)(inputs), axis=-1)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    options = {"tflite": "int8", "target": "cortex-m"}
    with pytest.raises(InputError, match=r"^`target`: 1 operator .* on cortex-m: CUMSUM \("):
        try_files(helper(), {"before": model}, flags.build(ExportConfig, options))
    allowed = flags.build(ExportConfig, options | {"allow_float": True})
    try_files(helper(), {"before": model}, allowed)  # it runs there, in float
    assert "not in integers on cortex-m: CUMSUM" in capsys.readouterr().err


def test_layers_that_augment_are_left_out_of_files():
    """The file gives what the network does in inference, by an interpreter of the test's own."""
    inputs = keras.Input((6, 6, 1))
    x = layers.RandomFlip()(layers.RandomRotation(0.1)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    try_files(helper(), {"before": model}, config("float32"))
    interpreter = litert.Interpreter(model_content=convert(model, "float32"))
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], IMAGES[:1])
    interpreter.invoke()
    outputs = interpreter.get_tensor(wanted["index"])
    np.testing.assert_allclose(outputs, model(IMAGES[:1], training=False), atol=1e-5)

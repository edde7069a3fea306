"""The learner `distillation` on the embedded digits."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from learners import teaching
from learners.context import StageContext
from learners.distillation.learner import DistillationLearner
from nets.convnet_at_digits import ModelHelper
from tests.learners import runs
from tests.learners.runs import compress, make_run
from utils.errors import InputError
from utils.training import callbacks

SHORT = {"nb_epochs": "0.3", "lrn_rate_init": 0.02, "seed": 3}


@keras.saving.register_keras_serializable(package="distillation_test")
class Counting(layers.Layer):
    """Counts the batches that pass, and those that pass in training mode."""

    def build(self, shape):
        self.passed = self.add_weight(name="passed", initializer="zeros", trainable=False)
        self.trained = self.add_weight(name="trained", initializer="zeros", trainable=False)

    def call(self, inputs, training=False):
        self.passed.assign_add(1.0)
        if training:
            self.trained.assign_add(1.0)
        return inputs


def dense_teacher(width=24, seed=5, counting=False):
    """Another architecture than the student's; ends in probabilities."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = Counting(name="counting")(inputs) if counting else inputs
    x = layers.Dense(width, activation="relu", name="hidden")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="out")(x), name="dense")


def conv_teacher(width=12, seed=6):
    """Its `features` have the place of the student's `conv`, and another width."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(width, 3, strides=2, activation="relu", name="features")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, name="out")(x), name="conv")


class Small(ModelHelper):
    """A student of 400 weights."""

    def forward(self, inputs):
        x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv")(inputs)
        return layers.Dense(10, name="fc")(layers.Flatten(name="flatten")(x))


@pytest.fixture
def small(monkeypatch):
    """Every run is of the small student."""
    monkeypatch.setattr(runs, "load_helper_class", lambda name: Small)


def student(folder, **values):
    """Run the learner; gives the report."""
    return compress("distillation", folder, **{**SHORT, **values})


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Files of two architectures, untrained: what they say is learned all the same."""
    folder = tmp_path_factory.mktemp("teachers")
    dense_teacher().save(folder / "dense.keras")
    conv_teacher().save(folder / "conv.keras")
    return folder


def test_the_loss_is_what_is_written(teachers, tmp_path):
    """(1 - alpha) cross-entropy + alpha T^2 KL + decay, for a batch, in NumPy."""
    plan, helper = make_run(
        "distillation",
        tmp_path,
        dst_alpha=0.7,
        tempr_dst=2.0,
        teacher_path=f"{teachers}/conv.keras",
    )
    teacher, model = conv_teacher(), helper.build_model()
    context = StageContext(
        run=plan.run, stage=plan.stages[0], helper=helper, log_dir=plan.log_dir, teacher=teacher
    )
    loss = DistillationLearner(context, model).default_loss(model)
    images, labels = next(iter(helper.build_dataset_train()))
    outputs = model(images)
    found, metrics = loss.training_loss(images, labels, outputs, model.trainable_variables)

    def softmax(z):
        return np.exp(z) / np.exp(z).sum(-1, keepdims=True)

    z, v = (np.asarray(array, np.float64) for array in (outputs, teacher(images)))
    entropy = -np.log(softmax(z)[np.arange(len(z)), labels]).mean()
    p, q = softmax(v / 2), softmax(z / 2)
    divergence = 4 * np.sum(p * np.log(p / q), -1).mean()
    kernels = [var for var in model.trainable_variables if var.name not in ("gamma", "beta")]
    decay = 1e-4 * sum(float(np.sum(np.square(var))) for var in kernels)
    assert float(metrics["distillation"]) == pytest.approx(divergence, rel=1e-3)
    wanted = 0.3 * entropy + 0.7 * divergence + decay
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_the_teacher_passes_once_per_batch_in_inference_mode(tmp_path, monkeypatch, small):
    """With several terms, which all need it: 3 steps, and no more."""
    teacher = dense_teacher(counting=True)
    teacher.save(tmp_path / "counting.keras")
    loaded = []

    def noted(path, **options):
        loaded.append(path)
        return teacher

    monkeypatch.setattr("pipeline.teacher.load_keras_model", noted)
    monkeypatch.setattr(teaching.Teaching, "spent", lambda *args, **options: None)  # it times it
    counter = teacher.get_layer("counting")
    counted = []

    def note_count(self, logs=None):
        counted.append(float(counter.passed.numpy()))

    monkeypatch.setattr(callbacks.Recorder, "on_train_begin", note_count, raising=False)
    monkeypatch.setattr(callbacks.Recorder, "on_train_end", note_count, raising=False)
    report = student(
        tmp_path / "out",
        nb_epochs=str(3 / 22),
        teacher_path=str(tmp_path / "counting.keras"),
        loss_w_hint=0.5,
        dst_layers="flatten:hidden",
    )
    assert loaded and [point.step for point in report.training] == [3]
    assert set(report.training[0].others) >= {"distillation", "hint"}
    assert counted[-1] - counted[0] == 3
    assert float(counter.trained.numpy()) == 0


def test_an_ensemble_of_two_architectures(teachers, tmp_path, small):
    paths = f"{teachers}/dense.keras,{teachers}/conv.keras"
    report = student(tmp_path, teacher_path=paths, teacher_weights="3,1")
    losses = [point.others["distillation"] for point in report.training]
    assert np.isfinite(losses).all()
    (note,) = (note for note in report.notes if "teachers take" in note)
    assert note.startswith("The 2 teachers take") and "of the time of training" in note
    words = "Distillation at temperature 4, the usual one for weights of 32 bits"
    assert any(note.startswith(words) for note in report.notes)
    helper = Small()
    for name, note in zip(("dense", "conv"), report.notes[-2:], strict=True):
        teacher = keras.saving.load_model(teachers / f"{name}.keras", compile=False)
        images, labels = (
            np.concatenate(parts) for parts in zip(*helper.build_dataset_eval(), strict=True)
        )
        share = np.mean(np.argmax(teacher(images), -1) == labels)
        assert note.endswith(f"{name}.keras is right on {100 * share:.2f} % of the test data.")


class KilledError(BaseException):
    """Stands for a kill."""


FEATURES = {"loss_w_hint": 0.2, "dst_layers": "conv:features"}


def test_killed_with_regressors_it_ends_with_the_same_bits(teachers, tmp_path, monkeypatch, small):
    """Of other widths than the teacher's: the regressor's weights go on where they were."""
    values = {**FEATURES, "teacher_path": f"{teachers}/conv.keras", "save_step": 1}
    whole = student(tmp_path / "whole", **values)
    count, steps = callbacks.Recorder.on_train_batch_end, []

    def killed(self, batch, logs=None):
        if len(steps) == 3:
            raise KilledError
        steps.append(batch)
        count(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Recorder, "on_train_batch_end", killed)
        with pytest.raises(KilledError):
            student(tmp_path / "killed", **values)
    resumed = student(tmp_path / "killed", **values)
    for one, other in zip(whole.model.weights, resumed.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    points = [
        [(p.step, p.loss, p.others["hint"]) for p in run.training] for run in (whole, resumed)
    ]
    assert points[0] == points[1]
    plain = keras.saving.load_model(tmp_path / "killed" / "model.keras", compile=False)
    assert [layer.name for layer in plain.layers[1:]] == ["conv", "flatten", "fc"]


def test_features_come_nearer_with_their_weight(teachers, tmp_path, small):
    def last(weight):
        values = {**FEATURES, "loss_w_hint": weight, "teacher_path": f"{teachers}/conv.keras"}
        return student(tmp_path / str(weight), nb_epochs="1", **values).training[-1].others["hint"]

    assert last(0.5) < 0.8 * last(1e-6)


def test_other_learners_compare_features_at_named_layers_too(teachers, trained_digits, tmp_path):
    copy = keras.models.clone_model(trained_digits)
    copy.set_weights(trained_digits.get_weights())
    report = compress(
        "chn-pruned-rmt", tmp_path, copy, nb_epochs="0.1", enbl_dst=True,
        teacher_path=f"{teachers}/dense.keras", loss_w_hint=0.2, dst_layers="fc1:hidden",
    )  # fmt: skip
    assert {"distillation", "hint"} <= set(report.training[0].others)
    assert not any("regressor" in layer.name for layer in report.model.layers)


def test_a_small_student_learns_more_from_a_teacher_than_from_wrong_labels(
    trained_digits, tmp_path, monkeypatch, small
):
    """A third of the labels are wrong; the teacher learned from right ones."""
    build = ModelHelper.build_dataset_train

    def with_wrong_labels(self, *args, **options):
        def change(images, labels):
            wrong = tf.random.stateless_uniform(tf.shape(labels), [1, 2]) < 0.33
            return images, tf.where(wrong, (labels + 1) % 10, labels)

        return build(self, *args, **options).map(change)

    monkeypatch.setattr(Small, "build_dataset_train", with_wrong_labels)
    trained_digits.save(tmp_path / "teacher.keras")
    values = {"nb_epochs": "12", "lrn_rate_init": 0.02}
    alone = compress("full-prec", tmp_path / "alone", **values).after.top1
    taught = compress(
        "distillation", tmp_path / "taught", teacher_path=str(tmp_path / "teacher.keras"), **values
    ).after.top1
    assert taught > max(alone + 0.1, 0.6)  # seen: 0.35 and 0.80


def test_a_share_beside_the_weight_is_said(teachers, tmp_path, small):
    report = student(tmp_path, nb_epochs="0", teacher_path=f"{teachers}/conv.keras", loss_w_dst=2.0)
    assert any(note.startswith("--loss_w_dst had no effect") for note in report.notes)


def test_a_teacher_of_other_outputs_is_refused_before_training(tmp_path, small):
    inputs = keras.Input((8, 8, 1))
    other = keras.Model(inputs, layers.Dense(7)(layers.Flatten()(inputs)))
    other.save(tmp_path / "other.keras")
    with pytest.raises(InputError, match=r"`teacher_path`: the teacher '.*other.keras' has output"):
        student(tmp_path / "out", teacher_path=str(tmp_path / "other.keras"))
    assert not (tmp_path / "out").exists()


def test_the_report_has_the_flags(teachers, tmp_path, small):
    student(tmp_path, nb_epochs="0", teacher_path=f"{teachers}/conv.keras")
    config = json.loads((tmp_path / "report.json").read_text())["config"]
    assert config["dst_alpha"] == 0.9 and config["enbl_dst"] is True

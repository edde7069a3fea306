"""Loss and metrics over a whole set, by a helper; references are Keras' metrics and NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from nets.abstract_model_helper import AbstractModelHelper
from nets.config import HelperConfig
from utils.errors import InputError
from utils.training import Scorer, evaluate
from utils.training.scorer import stand_ins

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(50, 4)).astype(np.float32)
# Sorted by class: no batch of ten but the middle one has both.
LABELS = np.repeat([0, 1], 25)[:, None].astype(np.float32)


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, activation="relu", name="hidden")(inputs)
    head = keras.layers.Dense(1, activation="sigmoid", name="head")(hidden)
    return keras.Model(inputs, head)


class Binary(AbstractModelHelper):
    """Two classes by one output; AUC and F1 over the whole set."""

    def build_dataset_train(self) -> Any:
        return self.build_dataset_eval()

    def build_dataset_eval(self) -> Any:
        return tf.data.Dataset.from_tensor_slices((INPUTS, LABELS)).batch(10)

    def calc_loss(self, labels: Any, outputs: Any, trainable_vars: Any) -> Any:
        kernels = [v for v in trainable_vars if v.name == "kernel" and len(v.shape) > 1]
        named = [v for v in trainable_vars if "head" in v.path or "none" in v.path]
        decay = tf.add_n([tf.nn.l2_loss(v) for v in kernels]) + tf.add_n(
            [tf.reduce_sum(tf.square(v)) for v in named]
        )
        entropy = tf.reduce_mean(keras.losses.binary_crossentropy(labels, outputs))
        right = tf.cast(tf.equal(outputs > 0.5, labels > 0.5), tf.float32)
        return entropy + 0.1 * decay, {"accuracy": tf.reduce_mean(right)}

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.AUC(name="auc"), keras.metrics.F1Score(threshold=0.5, name="f1")]


class Dumping(Binary):
    """Collects decoded outputs in the order of the evaluation set."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: list[str] = []
        self.rows: list[np.ndarray] = []

    def postprocess(self, outputs: Any) -> Any:
        return outputs > 0.5

    def dump_n_eval(self, outputs: Any, action: str) -> Mapping[str, float]:
        self.calls.append(action)
        if action == "init":
            self.rows = []
        elif action == "dump":
            self.rows.append(np.asarray(outputs))
        else:
            return {"hits": float(np.mean(np.concatenate(self.rows) == (LABELS > 0.5)))}
        return {}


class DumpingLabels(Dumping):
    """Is given the labels too."""

    def dump_n_eval(  # type: ignore[override]
        self, outputs: Any, action: str, labels: Any = None
    ) -> Mapping[str, float]:
        if action == "eval":
            return {"hits": float(np.mean(np.concatenate(self.rows)))}
        if action == "dump":
            outputs = np.asarray(outputs) == (np.asarray(labels) > 0.5)
        return super().dump_n_eval(outputs, action)


def reference(outputs: np.ndarray) -> dict[str, float]:
    """Score all outputs at once, with Keras' own objects."""
    auc, f1 = keras.metrics.AUC(), keras.metrics.F1Score(threshold=0.5)
    auc.update_state(LABELS, outputs)
    f1.update_state(LABELS, outputs)
    loss = np.mean(keras.losses.binary_crossentropy(LABELS, outputs))
    accuracy = np.mean((outputs > 0.5) == (LABELS > 0.5))
    return {
        "loss": float(loss),
        "accuracy": float(accuracy),
        "auc": float(auc.result()),
        "f1_0": float(np.asarray(f1.result())[0]),
    }


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return network()


@pytest.mark.parametrize("kind", ["model", "function"])
def test_metrics_see_the_whole_set(model: keras.Model, kind: str) -> None:
    def function(inputs: np.ndarray) -> np.ndarray:
        return model(inputs).numpy()

    scores = evaluate(model if kind == "model" else function, None, Scorer(Binary()))
    assert scores == pytest.approx(reference(model(INPUTS).numpy()), abs=1e-5)
    assert list(scores) == ["loss", "accuracy", "auc", "f1_0"]


def test_a_second_pass_begins_anew(model: keras.Model) -> None:
    scorer = Scorer(Binary())
    assert evaluate(model, None, scorer) == evaluate(model, None, scorer)


def test_tallies_at_the_same_time_are_independent(model: keras.Model) -> None:
    scorer = Scorer(Binary())
    good, bad = (scorer.tally(model.trainable_variables) for _ in range(2))
    for inputs, labels in Binary().build_dataset_eval():
        good.update(labels, model(inputs))
        bad.update(labels, 1.0 - model(inputs))
    assert good.scores() == pytest.approx(reference(model(INPUTS).numpy()), abs=1e-5)
    assert bad.scores()["auc"] == pytest.approx(1.0 - good.scores()["auc"], abs=0.02)


def test_the_flag_chooses_what_decides(model: keras.Model) -> None:
    scorer = Scorer(Binary(HelperConfig(metric="auc")))
    with pytest.raises(RuntimeError, match=r"known once a network was scored"):
        _ = scorer.deciding
    scores = evaluate(model, None, scorer)
    assert scores.value == scores["auc"]
    assert scorer.deciding.name == "auc" and scorer.deciding.is_chosen
    with pytest.raises(InputError, match=r"no metric 'recall'"):
        evaluate(model, None, Scorer(Binary(HelperConfig(metric="recall"))))


def test_outputs_are_collected_in_the_documented_order(model: keras.Model) -> None:
    helper = Dumping()
    scores = evaluate(model, None, Scorer(helper))
    assert helper.calls == ["init", *["dump"] * 5, "eval"]
    assert scores["hits"] == pytest.approx(scores["accuracy"])


def test_without_labels_only_the_evaluation_set_is_collected(model: keras.Model) -> None:
    helper = Dumping(HelperConfig(metric="hits", metric_mode="max"))
    other = helper.build_dataset_eval().take(2)
    scores = evaluate(model, other, helper)
    assert helper.calls == [] and "hits" not in scores
    with pytest.raises(InputError, match=r"'hits' is computed on the evaluation set only"):
        _ = scores.value
    labelled = evaluate(model, other, DumpingLabels(helper.config))
    assert labelled.value == labelled["hits"] == pytest.approx(labelled["accuracy"])
    misnamed = Dumping(HelperConfig(metric="hit", metric_mode="max"))
    with pytest.raises(InputError, match=r"no metric 'hit'. Did you mean 'hits'"):
        evaluate(model, None, Scorer(misnamed))


def test_stand_ins_are_named_like_the_variables(model: keras.Model) -> None:
    made = stand_ins(model.trainable_variables)
    assert [v.path for v in made] == [v.path for v in model.trainable_variables]
    assert [v.name for v in made] == ["kernel", "bias", "kernel", "bias"]
    assert [len(v.shape) for v in made] == [2, 1, 2, 1]
    assert not any(v.numpy().any() for v in made)
    model.trainable = False
    try:
        assert {v.name for v in stand_ins(model.trainable_variables)} == {"kernel", "bias"}
    finally:
        model.trainable = True


def test_a_function_is_scored_under_the_names_of_the_network_before(model: keras.Model) -> None:
    seen: list[list[str]] = []

    def calc_loss(labels: Any, outputs: Any, trainable_vars: Any) -> Any:
        seen.append([variable.path for variable in trainable_vars])
        return tf.add_n([tf.nn.l2_loss(v) for v in trainable_vars if "kernel" in v.path]), {}

    scorer = Scorer(calc_loss)
    data = Binary().build_dataset_eval()
    evaluate(lambda inputs: inputs, data, scorer)
    evaluate(model, data, scorer)
    evaluate(lambda inputs: inputs, data, scorer)
    paths = [variable.path for variable in model.trainable_variables]
    assert seen[0] == ["none/kernel", "none/bias"] and seen[1] == seen[-1] == paths


def test_a_loss_function_has_no_evaluation_set(model: keras.Model) -> None:
    with pytest.raises(ValueError, match=r"`dataset` must be given"):
        evaluate(model, None, Scorer(Binary().calc_loss))

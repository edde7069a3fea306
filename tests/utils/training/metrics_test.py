"""Which way metrics are better, and which one decides."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import pytest

from utils.errors import InputError
from utils.training.metrics import Metric, Scores, choose, described, scalar, the_accuracy

UP_FRACTIONS: list[Any] = [
    keras.metrics.AUC(),
    keras.metrics.Precision(),
    keras.metrics.Recall(),
    keras.metrics.F1Score(),
    keras.metrics.MeanIoU(num_classes=2),
    keras.metrics.TopKCategoricalAccuracy(),
    keras.metrics.MeanMetricWrapper(keras.metrics.binary_accuracy),
]
UP: list[Any] = [keras.metrics.R2Score(), keras.metrics.CosineSimilarity()]
DOWN: list[Any] = [
    keras.metrics.MeanSquaredError(),
    keras.metrics.RootMeanSquaredError(),
    keras.metrics.KLDivergence(),
    keras.metrics.MeanMetricWrapper(keras.losses.mean_absolute_error),
]


class Own(keras.metrics.Metric):
    """A metric of a user's that says itself which way it is better."""

    higher_is_better = True


class OwnAUC(keras.metrics.AUC):
    """A metric derived from Keras'."""


def own_function(labels: Any, outputs: Any) -> Any:
    """Compute something that nothing is known of."""
    return labels - outputs


def facts(metric: Any) -> tuple[bool | None, bool]:
    known = described("m", metric)
    return known.higher_is_better, known.is_share


def test_directions_of_keras_classes() -> None:
    assert [facts(metric) for metric in UP_FRACTIONS] == [(True, True)] * len(UP_FRACTIONS)
    assert [facts(metric) for metric in UP] == [(True, False)] * len(UP)
    assert [facts(metric) for metric in DOWN] == [(False, False)] * len(DOWN)
    assert facts(OwnAUC()) == (True, True)


def test_directions_of_what_is_not_keras() -> None:
    assert facts(Own()) == (True, False)
    assert facts(keras.metrics.MeanMetricWrapper(own_function)) == (None, False)
    assert facts(keras.metrics.Mean()) == (None, False)


def test_every_keras_metric_is_known_but_counts_and_plain_sums() -> None:
    """A class that a new Keras brings shows up here."""
    arguments: dict[str, dict[str, Any]] = {
        "IoU": {"num_classes": 2, "target_class_ids": [0]},
        "BinaryIoU": {},
        "MeanIoU": {"num_classes": 2},
        "OneHotIoU": {"num_classes": 2, "target_class_ids": [0]},
        "OneHotMeanIoU": {"num_classes": 2},
        "PrecisionAtRecall": {"recall": 0.5},
        "RecallAtPrecision": {"precision": 0.5},
        "SensitivityAtSpecificity": {"specificity": 0.5},
        "SpecificityAtSensitivity": {"sensitivity": 0.5},
        "MeanMetricWrapper": {"fn": own_function},
    }
    unknown = set()
    for name, value in vars(keras.metrics).items():
        is_metric = isinstance(value, type) and issubclass(value, keras.metrics.Metric)
        if is_metric and described(name, value(**arguments.get(name, {}))).higher_is_better is None:
            unknown.add(name)
    assert unknown == {
        "Mean", "Sum", "Metric", "MeanMetricWrapper",
        "TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives",
    }  # fmt: skip


def test_gaps() -> None:
    share = Metric(name="auc", higher_is_better=True, is_share=True)
    assert share.gap(0.9, 0.85) == pytest.approx(0.05)
    assert share.gap(0.85, 0.9) == pytest.approx(-0.05)
    error = Metric(name="mae", higher_is_better=False)
    assert error.gap(2.0, 3.0) == pytest.approx(0.5)
    assert error.gap(0.0, 3.0) == 3.0
    assert Metric(name="psnr", higher_is_better=True).gap(30.0, 27.0) == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"which way 'x' is better is not known"):
        scalar("x").merit(1.0)


def test_blind_values() -> None:
    share = Metric(name="accuracy", higher_is_better=True, is_share=True)
    assert share.is_blind(0.0) and share.is_blind(math.nan) and not share.is_blind(0.01)
    assert not Metric(name="mae", higher_is_better=False).is_blind(0.0)
    assert not Metric(name="r2", higher_is_better=True).is_blind(0.0)


def known(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in (scalar("loss"), *metrics)}


AUC = described("auc", keras.metrics.AUC())
MAE = described("mae", keras.metrics.MeanAbsoluteError())
ACCURACY = described("acc", keras.metrics.SparseCategoricalAccuracy())
UNKNOWN = scalar("psnr")


def test_what_decides_by_itself() -> None:
    assert choose(known()).name == "loss"
    assert choose(known(MAE)).name == "mae"
    assert choose(known(UNKNOWN, AUC, MAE)).name == "auc"
    assert choose(known(UNKNOWN, AUC, ACCURACY)).name == "acc"
    assert choose(known(UNKNOWN)).name == "loss"
    extra = dataclasses.replace(ACCURACY, is_extra=True)
    assert choose(known(UNKNOWN, AUC, extra)).name == "auc"
    assert choose(known(UNKNOWN, extra)).name == "acc"


def test_of_several_outputs_the_loss_decides() -> None:
    parts = [
        described(f"{output}_accuracy", keras.metrics.BinaryAccuracy(), is_partial=True)
        for output in "ab"
    ]
    assert choose(known(*parts)).name == "loss"
    assert the_accuracy(known(*parts)) is None
    assert choose(known(*parts), "b_accuracy").name == "b_accuracy"


def test_what_is_named_decides() -> None:
    chosen = choose(known(AUC, ACCURACY), "auc")
    assert (chosen.name, chosen.is_chosen, chosen.higher_is_better) == ("auc", True, True)
    assert choose(known(UNKNOWN), "psnr", "max").higher_is_better is True
    assert choose(known(UNKNOWN), "psnr", "min").higher_is_better is False
    assert choose(known(MAE), "loss").higher_is_better is False


@pytest.mark.parametrize(
    ("wanted", "mode", "message"),
    [
        ("auk", None, r"`metric`: this network has no metric 'auk'. Did you mean 'auc'\? Valid"),
        ("psnr", None, r"`metric`: which way 'psnr' is better is not known. Add --metric_mode=max"),
        (None, "max", r"`metric_mode` has no effect without `metric`. Received: 'max'"),
    ],
)
def test_what_cannot_decide(wanted: str | None, mode: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose(known(UNKNOWN, AUC), wanted, mode)


def test_scores() -> None:
    scores = Scores({"loss": 0.5, "acc": 0.75, "mae": 2.0}, MAE, ACCURACY)
    assert (scores.value, scores.merit, scores.top1, scores.picks_class) == (2.0, -2.0, 0.75, True)
    assert scores == {"loss": 0.5, "acc": 0.75, "mae": 2.0}
    late = Scores({"loss": 0.5}, UNKNOWN)
    with pytest.raises(InputError, match=r"'psnr' is computed on the evaluation set only. Give du"):
        _ = late.value

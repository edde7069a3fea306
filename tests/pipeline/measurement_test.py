"""Figures of a run; that a report is complete is in `tests/contract`."""

import types

import numpy as np
import pytest

from pipeline import measurement
from tests.learners.runs import make_run
from utils.errors import InputError
from utils.training.callbacks import NotFiniteError
from utils.training.metrics import Metric, scalar


def test_unknown_metrics_of_an_epoch_are_kept():
    row = {"stage": "full-prec", "epoch": 1, "step": 22, "loss": 0.5, "lrn_rate": 0.1}
    row |= {"accuracy": 0.75, "seconds": 1.0, "images_per_second": 100.0, "own_metric": 3.0}
    point = measurement._point(row)
    assert (point.stage, point.step, point.loss) == ("full-prec", 22, 0.5)
    assert point.others["own_metric"] == 3.0
    assert "accuracy" not in point.others


def test_flags_of_all_parts_are_in_the_configuration(tmp_path):
    plan, helper = make_run("full-prec,chn-pruned-rmt", tmp_path, seed=5, nb_epochs="0")
    config = measurement._config(plan, helper)
    wanted = {"seed": 5, "batch_size": 64, "cpr_nb_smpls": 128, "tflite": "none"}
    assert {name: config[name] for name in wanted} == wanted


def test_what_decides_is_stated():
    auc = Metric(name="auc", higher_is_better=True, is_share=True)
    loss, accuracy = scalar("loss"), scalar("accuracy")
    assert list(measurement._decides(accuracy, None)) == []
    assert list(measurement._decides(auc, None)) == [
        "auc decides, the higher the better: the rewards of a search go by it; the gap of exported "
        "files goes by it."
    ]
    (text,) = measurement._decides(loss, None)
    assert text.startswith("loss decides, the lower the better") and "error of their" in text
    (text,) = measurement._decides(accuracy, "accuracy")
    assert text.startswith("accuracy (--metric) decides")


def test_score_is_that_of_keras(trained_digits, tmp_path):
    _, helper = make_run("full-prec", tmp_path)
    scores = measurement.score(helper, trained_digits)
    batches = helper.build_dataset_eval().as_numpy_iterator()
    images, labels = (
        np.concatenate(parts) for parts in zip(*batches, strict=True)
    )  # fmt: skip
    right = np.argmax(trained_digits.predict(images, verbose=0), axis=-1) == labels
    assert scores["accuracy"] == pytest.approx(right.mean())
    assert len(labels) == 359


@pytest.mark.parametrize(("cause", "ends"), [(NotFiniteError("loss", 3), False), (None, True)])
def test_a_control_that_fails_in_one_worker_alone_ends_the_run(monkeypatch, cause, ends):
    """Worker 0 would wait for it for ever; what diverges fails in all."""

    def fail(*_):
        raise InputError("it failed") from cause

    monkeypatch.setattr(measurement, "train_control", fail)
    monkeypatch.setattr(measurement, "copy_network", lambda *_, **__: None)
    plan = types.SimpleNamespace(run=types.SimpleNamespace(control=True, allow_unsafe=False))
    after = types.SimpleNamespace(model="the network")
    outcome = types.SimpleNamespace(before=None, after=after)
    if not ends:
        assert measurement.follow(plan, None, outcome) == "the network"
        return
    with pytest.raises(InputError, match="it failed"):
        measurement.follow(plan, None, outcome)

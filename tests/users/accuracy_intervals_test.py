"""An accuracy is one draw: a difference of one image is no loss, a clear one is."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from flowpress import compress
from tests.users.measured import QUICK, batches, digits, right, short, trained
from utils.report.comparison import network_rows
from utils.report.findings import findings


def spoiled(num_images):
    """A copy of the trained network that takes exactly so many images for another class.

    It looks at the outputs of those images, layers of Keras' own: how near it is to one of them.
    """
    model = keras.models.clone_model(trained())
    model.set_weights(trained().get_weights())
    outputs = model.predict(digits()[1][0], verbose=0)
    known = outputs[np.flatnonzero(right(outputs))[:num_images]]
    distance = keras.ops.min(
        keras.ops.sum(keras.ops.square(model.output[:, None] - known[None]), axis=-1), axis=1
    )
    flipped = keras.ops.where(distance[:, None] < 1e-6, -model.output, model.output)
    return keras.Model(model.input, flipped)


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """Make a report in which the network after errs on so many more images."""
    from learners.base import Trained
    from learners.full_precision.learner import FullPrecLearner

    def compare(num_images):
        monkeypatch.setattr(FullPrecLearner, "train", lambda self: Trained(spoiled(num_images)))
        return short(trained(), tmp_path / str(num_images))

    return compare


def test_one_image_is_not_painted_as_a_loss(compared):
    report = compared(1)
    assert report.after.top1 == pytest.approx(report.before.top1 - 1 / 200)
    assert report.after.change.value == pytest.approx(-1 / 200)
    assert report.after.change.low < 0 < report.after.change.high
    row = next(row for row in network_rows(report) if row.label == "Top-1 accuracy")
    assert (row.word, row.verdict) == ("unclear", "")
    levels = {item.level for item in findings(report) if item.text.startswith("Accuracy")}
    assert levels == {"note"}
    assert any("than 200 samples can tell from chance" in item.text for item in findings(report))


def test_thirty_images_are(compared):
    report = compared(30)
    change = report.after.change
    assert change.value == pytest.approx(-30 / 200) and change.high < 0
    row = next(row for row in network_rows(report) if row.label == "Top-1 accuracy")
    assert row.verdict == "worse" and "[" in row.change
    assert any(
        item.level == "warning" and item.text.startswith("Accuracy fell by 15.00 points")
        for item in findings(report)
    )


def test_json_page_and_console_show_them(tmp_path, capsys):
    from utils.command import out
    from utils.report import print_summary

    report = short(trained(), tmp_path)
    document = json.loads((tmp_path / "report.json").read_text())
    bounds = document["before"]["top1_interval"]
    assert 0 < bounds["low"] < document["before"]["top1"] < bounds["high"] <= 1
    assert document["before"]["num_samples"] == 200
    page = (tmp_path / "report.html").read_text()
    text = f"{100 * bounds['low']:.1f}–{100 * bounds['high']:.1f}"
    assert text in page and "n = 200" in page
    print_summary(report, tmp_path / "report.html", out)
    shown = capsys.readouterr().out
    assert text in shown and "n = 200" in shown


def test_shuffled_data_keep_their_pairs(tmp_path):
    """A held-out set that comes in another order each time: pairs are still the same samples."""
    held_out = batches(1).unbatch().shuffle(200).batch(50)
    held_out = held_out.apply(tf.data.experimental.assert_cardinality(4))
    report = compress(trained(), batches(0), held_out, out_dir=tmp_path, **QUICK)
    change = report.after.change  # nothing was trained: the same network
    assert (change.value, report.after.top1) == (0.0, report.before.top1)
    assert change.high < 0.03

"""A file that crashes the converter, or fails its check, is a row; the other files are there."""

import json

import keras
import numpy as np
import pytest

from pipeline import stages
from pipeline.steps import ReportedError
from tests.users.measured import digits, interpreted, right, short, trained
from utils.export.conversion import Conversion
from utils.report.findings import findings


class Looping(keras.layers.Layer):
    """A loop that changes nothing and that the calibrator of int8 files cannot run."""

    def call(self, inputs):
        def step(index, state):
            return index + 1, state + 0.0 * inputs

        return keras.ops.while_loop(lambda index, _: index < 3, step, (0, inputs))[1]


@pytest.fixture
def unrehearsed(monkeypatch):
    """What is found out before training would be refused there."""
    monkeypatch.setattr(stages, "try_files", lambda *args: None)


def test_a_crash_is_a_row_and_the_other_file_is_there(tmp_path, unrehearsed):
    model = keras.Model(trained().input, Looping(name="loop")(trained().output))
    with pytest.raises(
        ReportedError, match=r"^there is no int8 file: the process of the"
    ) as caught:
        short(model, tmp_path, tflite="float32,int8")
    document = json.loads((tmp_path / "report.json").read_text())
    rows = {(row["network"], row["kind"]): row for row in document["files"]}
    for network in ("before", "after"):
        row = rows[network, "int8"]
        assert row["path"] is None and row["file_bytes"] is None and row["passed"] is None
        assert "crashed while it was converted (SIGSEGV)" in row["failed"]
        assert row["failed"].endswith("Leave int8 out of --tflite.")
    file = rows["after", "float32"]
    images = digits()[1][0]
    hits = right(interpreted(file["path"], images))
    assert file["passed"] and file["top1"] == pytest.approx(hits.mean())
    assert file["latency_ms_p50"] > 0
    assert "crashed while it was converted" in (tmp_path / "report.html").read_text()
    first = findings(caught.value.report)[0]
    assert first.level == "problem" and first.text.startswith("There is no int8 file: ")
    assert keras.saving.load_model(
        tmp_path / "model.keras", custom_objects={"Looping": Looping}, compile=False
    )


def test_the_network_before_alone_may_fail(tmp_path, unrehearsed, monkeypatch):
    """Nothing is wrong with what the user gets: the run succeeds and says what is missing."""
    from pipeline import device_files

    convert_all = device_files.convert_all

    def failing(networks, *args):
        found = convert_all(networks, *args)
        return {
            key: Conversion(failed="it crashed.") if key[0] == "before" else value
            for key, value in found.items()
        }

    monkeypatch.setattr(device_files, "convert_all", failing)
    report = short(trained(), tmp_path, tflite="float32")
    assert report.file("float32", "before").failed == "it crashed."
    assert report.file("float32").passed and report.file("float32").change is None
    assert any("has nothing to be compared with" in item.text for item in findings(report))


def test_a_file_that_does_not_run_on_the_data(tmp_path, unrehearsed, monkeypatch):
    """It was made and ran once; on held-out data its interpreter gives up."""
    from utils.export.runner import TFLiteRunner

    run = TFLiteRunner.__call__

    def failing(self, inputs):
        if self.graph.kind() == "int8":
            raise RuntimeError("out of arena")
        return run(self, inputs)

    monkeypatch.setattr(TFLiteRunner, "__call__", failing)
    with pytest.raises(ReportedError, match=r"^there is no int8 file: out of arena") as caught:
        short(trained(), tmp_path, tflite="float32,int8")
    report = caught.value.report
    assert report.file("int8").failed == "out of arena" and report.file("float32").passed
    assert np.isfinite(report.after.top1)

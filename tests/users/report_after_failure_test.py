"""Whatever fails after training: the result is saved, the report is there and says what failed."""

import json

import keras
import pytest

import main
from pipeline import device_files, measurement
from pipeline.steps import ReportedError
from tests.users.measured import short, trained
from utils.report import html, plots


def broken(*args, **kwargs):
    raise RuntimeError("the disk is on fire")


def document_of(folder):
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize(
    ("step", "module", "function", "lost"),
    [
        ("export", device_files, "convert_all", lambda d: d["files"] == []),
        ("evaluation", device_files, "check_all", lambda d: d["after"]["top1"] is None),
        ("latency", device_files, "measure_anew", lambda d: d["after"]["latency_ms_p50"] is None),
        ("counting", measurement, "complexity", lambda d: d["after"]["flops"] is None),
        ("layers", measurement, "layer_rows", lambda d: d["layers"] == []),
        ("files", measurement, "file_rows", lambda d: d["files"] == []),
        ("saving", measurement, "save_keras_model", lambda d: d["before"]["path"] is None),
    ],
)
def test_a_step_that_fails(step, module, function, lost, tmp_path, monkeypatch):
    monkeypatch.setattr(module, function, broken)
    with pytest.raises(ReportedError, match=rf"the step {step} failed: RuntimeError: the disk is"):
        short(trained(), tmp_path, tflite="float32")
    document = document_of(tmp_path)
    assert lost(document)
    assert [failure["step"] for failure in document["failures"]] == [step]
    assert "the disk is on fire" in (tmp_path / "report.html").read_text()
    assert keras.saving.load_model(tmp_path / "model.keras", compile=False).count_params()
    others = {
        "export": document["after"]["top1"],
        "evaluation": document["after"]["file_bytes"],
    }
    assert others.get(step, document["after"]["params"])


def test_a_file_that_could_not_be_compared_is_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(device_files, "check_all", broken)
    with pytest.raises(ReportedError):
        short(trained(), tmp_path, tflite="float32")
    file = document_of(tmp_path)["files"][-1]
    assert file["passed"] is None and file["latency_ms_p50"] > 0
    assert (tmp_path / "model_float32.tflite").stat().st_size == file["file_bytes"]


def test_a_page_that_cannot_be_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "findings", broken)
    with pytest.raises(ReportedError, match=r"the step page failed: RuntimeError: the disk is on"):
        short(trained(), tmp_path)
    assert [failure["step"] for failure in document_of(tmp_path)["failures"]] == ["page"]
    page = (tmp_path / "report.html").read_text()
    assert "page: RuntimeError: the disk is on fire" in page and "&quot;top1&quot;" in page


def test_a_plot_that_cannot_be_drawn_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "channel_plot", broken)
    short(trained(), tmp_path)
    assert "cannot be drawn (RuntimeError: the disk is on fire)" in (
        (tmp_path / "report.html").read_text()
    )


def test_the_command_line_shows_the_table_and_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(device_files, "measure_anew", broken)
    argv = ["--nb_epochs=0", "--tflite=float32", "--nb_repts=1", f"--out_dir={tmp_path}"]
    assert main.run(argv) == 2
    shown = capsys.readouterr()
    assert "multiply-adds" in shown.out and "problem: The step latency failed" in shown.out
    errors = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert "the step latency failed: RuntimeError: the disk is on fire." in errors[-1]
    assert f"The network is saved ({tmp_path}/model.keras)" in errors[-1]
    assert document_of(tmp_path)["failures"][0]["step"] == "latency"

"""The command: help, refusals before TensorFlow, whole runs, runs that were killed."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import main
from tests.bad_input_test import HELPER
from utils.training import read_state

ROOT = pathlib.Path(main.__file__).resolve().parent
QUICK = ["--cpr_nb_smpls=128", "--cpr_nb_crops_per_smpl=4", "--nb_repts=2", "--nb_repts_warmup=0"]
PIPELINE = [
    "--learner=full-prec,chn-pruned-rmt", "--nb_epochs=1,1", "--cpr_prune_ratio=0.5",
    "--lrn_rate_init=0.02", "--seed=3", "--tflite=none", "--save_step=5", *QUICK,
]  # fmt: skip


def python(code, *argv):
    """Run code in a process of its own, in the checkout; give its lines of output."""
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


# --- before TensorFlow ----------------------------------------------------------------------------

REFUSED = """
import sys, time
start = time.perf_counter()
import main
status = main.run(sys.argv[1:])
print(status, time.perf_counter() - start, 'tensorflow' in sys.modules or 'keras' in sys.modules)
"""


@pytest.mark.parametrize(
    "argv",
    [
        ["--lerner=full-prec"],
        ["--learner=chn-pruned-rmt", "--cpr_prune_ration=0.5"],
        ["--learner=chn-pruned-rmt", "--cpr_prune_ratio=1"],
        ["--learner=full-prec,chn-pruned-rmt", "--budget=flops:2"],
        ["--learner=chn-pruned-rmt", "--save_path=nowhere/model.keras"],
        ["--pretrained_path=nowhere.keras"],
        ["--model_helper=resnet_at_cifar10", "--data_dir_local=nowhere"],
    ],
    ids=lambda argv: argv[-1],
)
def test_refused_at_once_and_without_tensorflow(argv):
    status, seconds, imported = python(REFUSED, *argv)[-1].split()
    assert (status, imported) == ("2", "False")
    assert float(seconds) < 20.0  # under a second on an idle machine


def test_help_without_tensorflow():
    *text, last = python(REFUSED, "--help=all", "--learner=chn-pruned-rmt")
    assert last.split()[0] == "0"
    assert last.split()[2] == "False"
    text = "\n".join(text)
    for section in ("Every run", "Network and data: --model and --data", "Learner: chn-pruned-rmt"):
        assert f"{section}\n{'-' * len(section)}" in text
    assert "--cpr_prune_ratio  Fraction" in text
    assert "[0, 1)" in text  # brackets are no markup


def test_the_command_itself_says_what_to_type():
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "python main.py --model=net.keras --data=DATA" in done.stdout
    assert done.stderr == ""


# --- whole runs -----------------------------------------------------------------------------------


def report_in(folder):
    return json.loads((folder / "report.json").read_text())


def figures(report):
    """What two runs of one seed must share."""
    networks = [
        {name: report[side][name] for name in ("top1", "params", "nonzeros", "flops", "metrics")}
        for side in ("before", "after")
    ]
    rows = [
        {name: row[name] for name in ("stage", "epoch", "step", "loss", "lrn_rate")}
        for row in report["training"]
    ]
    return networks, rows, report["layers"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished run of both learners."""
    folder = tmp_path_factory.mktemp("done")
    assert main.run([*PIPELINE, f"--out_dir={folder}"]) == 0
    return folder


def test_both_learners_in_order(done):
    report = report_in(done)
    assert report["learner"] == ["full-prec", "chn-pruned-rmt"]
    assert report["command"][:2] == ["main.py", PIPELINE[0]]
    assert [row["stage"] for row in report["training"]] == ["full-prec", "chn-pruned-rmt"]
    assert [row["step"] for row in report["training"]] == [22, 22]
    assert report["before"]["top1"] > 0.3  # the trained network, not the fresh one
    assert report["after"]["params"] < report["before"]["params"]
    assert {"training", "selection", "fine_tuning", "export", "total"} <= set(report["seconds"])
    trained = keras.saving.load_model(done / "model_1_full_prec.keras", compile=False)
    assert trained.count_params() == report["before"]["params"]


def test_seconds_add_up(done):
    seconds = report_in(done)["seconds"]
    parts = sum(value for name, value in seconds.items() if name != "total")
    assert 0.0 < parts <= seconds["total"]


def test_score_of_a_saved_network(done, capsys):
    wanted = report_in(done)["after"]["top1"]
    assert main.run(["--exec_mode=eval", f"--out_dir={done}"]) == 0
    shown = capsys.readouterr().out
    assert f"accuracy: {wanted:.4f}" in shown
    path = done / "model_1_full_prec.keras"
    assert main.run(["--exec_mode=eval", f"--pretrained_path={path}"]) == 0
    assert f"accuracy: {report_in(done)['before']['top1']:.4f}" in capsys.readouterr().out


def test_without_fine_tuning(done, tmp_path):
    argv = ["--learner=channel-pruned-rmt", "--nb_epochs=0", "--tflite=none", *QUICK]
    start = f"--save_path={done}/model_1_full_prec.keras"
    assert main.run([*argv, start, f"--out_dir={tmp_path}"]) == 0
    report = report_in(tmp_path)
    assert report["learner"] == ["chn-pruned-rmt"]
    assert report["training"] == []
    assert report["before"]["top1"] == report_in(done)["before"]["top1"]
    assert report["after"]["flops"] < report["before"]["flops"]


def test_a_file_that_misses_its_limits_leaves_a_report(done, tmp_path, capsys):
    # A single calibration image cannot cover the range of all others.
    argv = ["--nb_epochs=0", "--tflite=int8", "--nb_smpls_calib=1", "--tflite_min_agreement=1"]
    start = f"--pretrained_path={done}/model_1_full_prec.keras"
    assert main.run([start, *argv, *QUICK[2:], f"--out_dir={tmp_path}"]) == 2
    assert "--tflite_min_agreement" in capsys.readouterr().err
    (file,) = (row for row in report_in(tmp_path)["files"] if row["network"] == "after")
    assert (file["kind"], file["path"], file["passed"]) == ("int8", None, False)
    assert file["agreement"] < 1 and file["latency_ms_p50"] is None
    assert [path.name for path in tmp_path.glob("*.tflite")] == ["model_before_int8.tflite"]
    assert (tmp_path / "model.keras").exists()


def test_goes_on_from_given_weights(done, tmp_path):
    start = f"--pretrained_path={done}/model_1_full_prec.keras"
    argv = [start, "--nb_epochs=0.1", "--lrn_rate_init=1e-6", "--tflite=none", *QUICK[2:]]
    assert main.run([*argv, f"--out_dir={tmp_path}"]) == 0
    report = report_in(tmp_path)
    assert report["before"]["top1"] == report_in(done)["before"]["top1"]
    assert report["after"]["top1"] == pytest.approx(report["before"]["top1"], abs=0.05)


def test_notices_and_summary(tmp_path, capsys):
    argv = ["--nb_epochs=0", "--tflite=none", *QUICK[2:], "--buffer_size=7"]
    where = [f"--save_path={tmp_path}/net.ckpt", f"--save_path_eval={tmp_path}/out/model.keras"]
    assert main.run([*argv, *where, f"--log_dir={tmp_path}/logs"]) == 0
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert any(line.startswith("note: --buffer_size has no effect: ") for line in lines)
    assert any(".ckpt: networks are kept as .keras files here" in line for line in lines)
    assert (tmp_path / "net.keras").is_file()
    assert "before" in shown.out
    assert "after" in shown.out
    assert "report.html" in shown.out
    assert report_in(tmp_path / "out")["learner"] == ["full-prec"]


def test_users_helper_outside_the_repository(tmp_path):
    helper = tmp_path / "anywhere" / "my_net.py"
    helper.parent.mkdir()
    helper.write_text(HELPER)
    argv = [f"--model_helper={helper}", "--learner=full-prec,chn-pruned-rmt", "--nb_epochs=2,0"]
    argv += ["--batch_size=8", "--tflite_min_agreement=0", "--tflite_max_gap=1", *QUICK]
    assert main.run([*argv, f"--out_dir={tmp_path}/out"]) == 0
    report = report_in(tmp_path / "out")
    assert [(row["network"], row["kind"]) for row in report["files"]] == [
        (network, kind) for network in ("before", "after") for kind in ("float32", "int8")
    ]
    model = keras.saving.load_model(tmp_path / "out" / "model.keras", compile=False)
    assert model.name == "my_net"
    assert model.get_layer("conv1").filters == 2


# --- a run that is killed -------------------------------------------------------------------------


SLOWED = """
import sys, time, main
from utils.training import callbacks
tick = callbacks.Recorder.on_train_batch_end
def slowed(self, batch, logs=None):
    tick(self, batch, logs)
    time.sleep(0.05)
callbacks.Recorder.on_train_batch_end = slowed
sys.exit(main.run(sys.argv[1:]))
"""


def wait_for_steps(path, steps, process):
    """Wait until a state of so many steps is saved."""
    limit = time.monotonic() + 240
    while time.monotonic() < limit:
        state = read_state(path)
        if state is not None and state.step >= steps:
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    raise TimeoutError(path)


def test_killed_in_the_second_stage_and_resumed(done, tmp_path, monkeypatch):
    folder = tmp_path / "killed"
    argv = [*PIPELINE, f"--out_dir={folder}"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWED, *argv], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for_steps(folder / "state" / "2_chn_pruned_rmt.keras", 5, process)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert not (folder / "model.keras").exists()
    assert main.run(argv) == 0
    assert figures(report_in(folder)) == figures(report_in(done))
    one, other = (
        keras.saving.load_model(place / "model.keras", compile=False) for place in (folder, done)
    )
    for first, second in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(first, second)
    assert {path.name for path in folder.iterdir()} == {path.name for path in done.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_stopped_by_a_signal_it_saves_and_says_how_to_go_on(number, done, tmp_path):
    argv = [*PIPELINE, "--save_step=1000", f"--out_dir={tmp_path}"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWED, *argv], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    state = tmp_path / "state" / "1_full_prec.keras"
    try:
        wait_for_steps(state, 0, process)  # the first save is before the first step
        process.send_signal(number)
        error = process.communicate(timeout=240)[1]
    finally:
        process.kill()
    assert process.returncode == 128 + number
    last = error.splitlines()[-1]
    step = read_state(state).step
    assert last == (
        f"full-prec: stopped by {number.name} at step {step} of 22, step {step} is saved in "
        f"{state}. The same command goes on from there."
    )
    assert 0 < step < 22
    assert "Traceback" not in error
    assert main.run(argv) == 0
    assert figures(report_in(tmp_path)) == figures(report_in(done))


def test_a_resumed_run_must_be_the_same(done, tmp_path, capsys):
    assert main.run([*PIPELINE, f"--out_dir={done}", "--batch_size=32"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "--batch_size was 64, is 32" in error
    assert "--resume=False" in error

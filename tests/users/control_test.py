"""`--control`: the network before, trained for as long, by plain Keras' figures; resumable."""

import json

import keras
import numpy as np
import pytest

import main
from pipeline.control import steps_of
from tests.users.measured import PRUNING, batches, digits, right, short, trained
from utils.errors import InputError
from utils.report.findings import findings
from utils.training import callbacks

EPOCHS, RATE = 2, 0.05


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    options = {"control": True, "nb_epochs": EPOCHS, "lrn_rate_ft": RATE, "enbl_dst": True}
    return short(trained(1), folder, **PRUNING, **options), folder, options


@pytest.fixture(scope="module")
def by_keras():
    """The same steps in plain Keras: SGD with momentum, a cosine, the model's own loss."""
    model = keras.models.clone_model(trained(1))
    model.set_weights(trained(1).get_weights())
    steps = EPOCHS * 12
    schedule = keras.optimizers.schedules.CosineDecay(RATE, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(schedule, momentum=0.9), loss)
    model.fit(batches(0), epochs=EPOCHS, shuffle=False, verbose=0)
    return model


def test_it_is_what_plain_keras_trains(finished, by_keras):
    report, folder, _ = finished
    control = keras.saving.load_model(folder / "model_control.keras", compile=False)
    for own, expected in zip(control.get_weights(), by_keras.get_weights(), strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-4)
    hits = right(by_keras.predict(digits()[1][0], verbose=0))
    assert report.control.top1 == pytest.approx(hits.mean(), abs=1 / 200)
    assert report.control.params == report.before.params


def test_the_report_compares_with_it(finished):
    report, folder, _ = finished
    versus = report.versus_control
    assert versus.value == pytest.approx(report.after.top1 - report.control.top1)
    assert versus.low <= versus.value <= versus.high
    assert any("Trained for as long as the compressed one" in f.text for f in findings(report))
    assert not any("had not been trained out" in f.text for f in findings(report))
    assert [point.step for point in report.training if point.stage == "control"] == [12, 24]
    assert report.seconds["control"] > 0
    assert "Top-1 beside control" in (folder / "report.html").read_text()


def test_killed_it_goes_on(finished, tmp_path, monkeypatch):
    report, folder, options = finished
    count = callbacks.Recorder.on_train_batch_end
    done = []

    def interrupted(self, batch, logs=None):
        count(self, batch, logs)
        done.append(self.step)
        if len(done) == 24 + 5:  # five steps into the control
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Recorder, "on_train_batch_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            short(trained(1), tmp_path, **PRUNING, **options, save_step=1)
    assert (tmp_path / "model.keras").is_file()  # the result itself is safe
    del done[:]
    monkeypatch.setattr(
        callbacks.Recorder,
        "on_train_batch_end",
        lambda self, batch, logs=None: (done.append(self.step), count(self, batch, logs)),
    )
    again = short(trained(1), tmp_path, **PRUNING, **options, save_step=1)
    assert 18 <= len(done) <= 21  # neither the stage nor the first steps of the control
    one, other = (
        keras.saving.load_model(place / "model_control.keras", compile=False)
        for place in (folder, tmp_path)
    )
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert again.control.top1 == report.control.top1


def test_a_run_may_be_asked_for_it_later(finished, tmp_path):
    """The flag changes nothing of what was computed: the stages are taken as they are."""
    _, folder, options = finished
    again = short(trained(1), folder, **PRUNING, **options | {"control": False})
    assert again.control is None and not (folder / "model_control.keras").exists()


def test_without_compression_there_is_nothing_to_control(tmp_path):
    with pytest.raises(InputError, match=r"^`control` has no effect here: without a learner that"):
        short(trained(1), tmp_path, control=True)


def test_from_the_command_line(tmp_path):
    argv = (
        "--learner=full-prec,chn-pruned-rmt --nb_epochs=0.2,0.2 --control --tflite=none "
        "--cpr_nb_smpls=32 --cpr_nb_crops_per_smpl=2"
    ).split()
    assert main.run([*argv, f"--out_dir={tmp_path}"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["control"]["num_samples"] == 359
    assert [row["step"] for row in report["training"]] == [5, 5, 5]


def test_steps_of_several_fits_add_up():
    rows = [{"stage": "a: one", "step": 3}, {"stage": "a: one", "step": 6}]
    assert steps_of([*rows, {"stage": "a: two", "step": 4}]) == 10
    assert steps_of([]) == 0

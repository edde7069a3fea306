"""What every learner must do: one row each."""

import dataclasses
import functools
import pathlib
import tempfile

import keras
import numpy as np
import pytest

import learners
from tests.learners.runs import TWO_STEPS, compress
from utils.graph import complexity, from_keras
from utils.training import callbacks


@dataclasses.dataclass(frozen=True)
class Row:
    """How a learner is tried.

    Attributes:
        flags: besides those of `tests.learners.runs`.
        flops: share of the multiply-adds that must be left.
        within: how far, relatively, it may be from that.
        taught: it needs a teacher, which is the network that all rows begin with.
        rounding: how far the accuracy of the result may be from that of its float file.
    """

    flags: dict[str, object]
    flops: float
    within: float = 0.02
    taught: bool = False
    rounding: float = 1e-6


TABLE = {
    "auto": Row(
        {
            "budget": "flops:0.5",
            "auto_patterns": "dense",
            "auto_bits_min": 8,
            "auto_nb_smpls": 64,
            "auto_nb_crops_per_smpl": 3,
            "auto_compare": False,
        },
        0.5,
    ),
    "full-prec": Row({}, 1.0),
    "distillation": Row({}, 1.0, taught=True),
    "channel": Row({"cp_prune_option": "uniform", "budget": "flops:0.5"}, 0.5),
    "chn-pruned-rmt": Row({"budget": "flops:0.5"}, 0.5),
    "chn-pruned-gpu": Row({"budget": "flops:0.5"}, 0.5),
    "dis-chn-pruned": Row({"budget": "flops:0.5"}, 0.5),
    "filter-pruned": Row({"budget": "flops:0.5"}, 0.5),
    # Weights say how many filters go; one of conv2 is 3 % of the multiply-adds.
    "soft-pruned": Row({"sfp_thresholds": "0.6", "sfp_max_retrains": 0}, 0.639, within=0.04),
    "weight-sparse": Row({"ws_prune_ratio_prtl": "uniform"}, 1.0),
    "uniform": Row({"uql_use_buckets": True, "uql_activation_bits": 8}, 1.0, rounding=0.01),
    "uniform-tf": Row({}, 1.0, rounding=0.01),
    "non-uniform": Row({}, 1.0),
}

pytestmark = pytest.mark.parametrize("learner", TABLE)


def start(network):
    """Copy the network that all rows begin with."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def run(learner, network, folder, *, rehearsed=False, **flags):
    values = {"nb_epochs": TWO_STEPS, "seed": 7, **TABLE[learner].flags, **flags}
    if TABLE[learner].taught:
        values["teacher_path"] = f"{folder}_teacher.keras"
        network.save(values["teacher_path"])
    return compress(learner, pathlib.Path(folder), start(network), rehearsed=rehearsed, **values)


@pytest.fixture(scope="module")
def finished(narrow_digits):
    """Give a row's run, with its .tflite files; each is done once."""
    flags = {"rehearsed": True, "tflite": "float32,int8"}
    with tempfile.TemporaryDirectory() as root:
        yield functools.cache(
            lambda learner: run(learner, narrow_digits, f"{root}/{learner}", **flags)
        )


def figures(report):
    """What must be equal in two runs of one seed."""
    own = [
        {name: value for name, value in dataclasses.asdict(network).items()
         if "latency" not in name and "bytes" not in name and name != "path"}
        for network in (report.before, report.after)
    ]  # fmt: skip
    points = [(point.stage, point.epoch, point.step, point.loss) for point in report.training]
    return own, report.layers, points


def assert_same_weights(one, other):
    assert [v.path for v in one.weights] == [v.path for v in other.weights]
    for first, second in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_two_training_steps_change_the_weights(learner, finished, narrow_digits):
    report = finished(learner)
    end = report.training[-1]
    assert (end.stage.partition(":")[0], end.step) == (learner, 2)
    assert all(np.isfinite(point.loss) for point in report.training)
    last = [model.weights[-1] for model in (report.model, narrow_digits)]
    assert not np.array_equal(*last)


def test_artefact_restores_to_the_same_bits(learner, finished):
    report = finished(learner)
    restored = keras.saving.load_model(report.after.path, compile=False)  # plain Keras
    assert_same_weights(restored, report.model)
    images = np.random.default_rng(0).random((5, 8, 8, 1), dtype=np.float32)
    np.testing.assert_array_equal(restored(images), report.model(images))
    own = {type(layer).__module__.partition(".")[0] for layer in restored.layers}
    assert own == {"keras"}


def test_interrupted_run_of_the_same_seed_resumes_to_the_same_bits(
    learner, finished, narrow_digits, tmp_path, monkeypatch
):
    """Up to the interruption everything is done anew: the same seed gives the same result, too."""
    count = callbacks.Recorder.on_train_batch_end

    def interrupted(self, batch, logs=None):
        if self.step == 1:
            raise KeyboardInterrupt
        count(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Recorder, "on_train_batch_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(learner, narrow_digits, tmp_path, save_step=1)
    assert not (tmp_path / "model.keras").exists()
    resumed = run(learner, narrow_digits, tmp_path, save_step=1)
    assert_same_weights(resumed.model, finished(learner).model)
    assert figures(resumed) == figures(finished(learner))


def test_export_agrees_with_the_network(learner, finished):
    report = finished(learner)
    float_file, int8_file = report.file("float32"), report.file("int8")
    assert float_file.agreement == 1.0
    # With quantized activations the accuracy is that with them, which this file does not have.
    assert float_file.top1 == pytest.approx(report.after.top1, abs=TABLE[learner].rounding)
    assert int8_file.agreement >= 0.97
    assert int8_file.file_bytes < float_file.file_bytes
    assert all(pathlib.Path(file.path).is_file() for file in (float_file, int8_file))


def test_measured_flops_are_those_asked_for(learner, finished):
    report = finished(learner)
    row = TABLE[learner]
    assert report.after.flops / report.before.flops == pytest.approx(row.flops, rel=row.within)
    assert complexity(from_keras(report.model)).flops == report.after.flops


def test_report_is_complete(learner, finished):
    report = finished(learner)
    folder = pathlib.Path(report.after.path).parent
    assert {"model.keras", "model_before.keras", "report.json", "report.html"} <= {
        path.name for path in folder.iterdir()
    }
    assert report.learner == (learner,)
    assert report.dataset == "digits"
    assert report.seed == 7
    assert {"evaluation", "export", "latency", "total"} < set(report.seconds)
    assert 0.0 < report.after.top1 <= 1.0
    assert report.before.latency_ms_p50 > 0


def test_every_learner_has_a_row(learner):
    assert list(TABLE) == list(learners.LEARNERS)


def test_finished_run_is_not_repeated(learner, finished, narrow_digits):
    report = finished(learner)  # last: the repetition writes no .tflite files beside its network
    folder = pathlib.Path(report.after.path).parent
    again = run(learner, narrow_digits, folder)
    assert_same_weights(again.model, report.model)
    assert figures(again) == figures(report)

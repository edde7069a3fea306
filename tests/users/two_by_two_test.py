"""Float and int8, before and after: four files, each compared with its own kind."""

import hashlib
import pathlib
import zlib

import keras
import numpy as np
import pytest

from tests.users.measured import digits, interpreted, right, short, trained
from utils.intervals import difference_interval, wilson_interval

KINDS = ("float32", "int8")
NETWORKS = ("before", "after")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return short(trained(), tmp_path_factory.mktemp("two"), tflite="float32,int8", nb_epochs=1)


@pytest.fixture(scope="module")
def outputs(report):
    """What an interpreter makes of each file."""
    images = digits()[1][0]
    return {
        (network, kind): interpreted(report.file(kind, network).path, images)
        for network in NETWORKS
        for kind in KINDS
    }


def test_all_four_lie_beside_the_network(report):
    names = {pathlib.Path(file.path).name for file in report.files}
    assert names == {
        "model_before_float32.tflite",
        "model_before_int8.tflite",
        "model_float32.tflite",
        "model_int8.tflite",
    }
    assert [(file.network, file.kind) for file in report.files] == [
        (network, kind) for network in NETWORKS for kind in KINDS
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_sizes_and_accuracies_are_those_of_the_file(network, kind, report, outputs):
    file = report.file(kind, network)
    content = pathlib.Path(file.path).read_bytes()
    assert file.file_bytes == len(content)
    assert file.file_bytes_deflated == len(zlib.compress(content, 9))
    hits = right(outputs[network, kind])
    assert file.top1 == pytest.approx(hits.mean())
    assert file.num_samples == 200
    expected = wilson_interval(int(hits.sum()), 200)
    assert (file.top1_interval.low, file.top1_interval.high) == pytest.approx(expected)
    assert 0 < file.latency_ms_p50 <= file.latency_ms_p95


def test_digests_are_those_of_the_files_and_equal_runs_have_equal_ones(report, tmp_path):
    for written in (report.before, report.after, *report.files):
        content = pathlib.Path(written.path).read_bytes()
        assert written.sha256 == hashlib.sha256(content).hexdigest()
    again = short(trained(), tmp_path / "again", tflite="none", nb_epochs=1)
    assert again.before.sha256 == report.before.sha256
    assert again.after.sha256 == report.after.sha256
    assert again.after.sha256 != again.before.sha256


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_that_of_the_same_kind(kind, report, outputs):
    before, after = (right(outputs[network, kind]).astype(float) for network in NETWORKS)
    change = report.file(kind).change
    assert change.value == pytest.approx(after.mean() - before.mean())
    assert (change.low, change.high) == pytest.approx(difference_interval(after, before))
    assert report.file(kind, "before").change is None
    assert report.file(kind).latency_ratio.low <= report.file(kind).latency_ratio.high


def test_the_networks_are_scored_as_keras_does(report):
    images, labels = digits()[1]
    for name, path in (("before", report.before.path), ("after", report.after.path)):
        model = keras.saving.load_model(path, compile=False)
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
        )
        loss, accuracy = model.evaluate(images, labels, verbose=0)
        scored = getattr(report, name)
        assert scored.top1 == pytest.approx(accuracy)
        assert scored.metrics["loss"] == pytest.approx(loss, rel=1e-4)
        assert scored.num_samples == 200
        hits = right(model.predict(images, verbose=0))
        expected = wilson_interval(int(hits.sum()), 200)
        assert (scored.top1_interval.low, scored.top1_interval.high) == pytest.approx(expected)


def test_the_gap_is_that_of_the_files_own_network(report, outputs):
    images = digits()[1][0]
    model = keras.saving.load_model(report.before.path, compile=False)
    keras_hits = right(model.predict(images, verbose=0)).astype(float)
    hits = right(outputs["before", "int8"]).astype(float)
    file = report.file("int8", "before")
    assert file.gap == pytest.approx(keras_hits.mean() - hits.mean())
    assert file.gap_interval.low <= file.gap <= file.gap_interval.high
    np.testing.assert_allclose(
        (file.gap_interval.low, file.gap_interval.high), difference_interval(keras_hits, hits)
    )


def test_files_of_the_network_before_are_held_against_no_limit(tmp_path):
    """Only what is shipped can fail; calibrated on one image, both int8 files are poor."""
    from pipeline.steps import ReportedError

    with pytest.raises(ReportedError, match=r"^the int8 .tflite file differs too much") as caught:
        short(trained(), tmp_path, tflite="int8", nb_smpls_calib=1, tflite_min_agreement=1)
    before, after = caught.value.report.files
    assert (before.passed, after.passed) == (None, False)
    assert before.path is not None and after.path is None
    assert "--tflite_min_agreement=1" in after.reasons[0]
    assert before.reasons == () and len(caught.value.results) == 1

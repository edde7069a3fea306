import json

import pytest

from tests.utils.report import samples
from utils.report import Bounds, Estimate, Network, Report


def test_report_json_has_the_documented_entries():
    document = samples.full_report().to_dict()
    assert list(document) == [
        "schema_version",
        "flowpress_version",
        "created",
        "command",
        "learner",
        "model_helper",
        "dataset",
        "seed",
        "config",
        "changed_flags",
        "versions",
        "machine",
        "before",
        "after",
        "control",
        "versus_control",
        "seconds",
        "files",
        "classes",
        "layers",
        "training",
        "capability",
        "searches",
        "notes",
        "failures",
    ]
    network = ["top1", "num_samples", "top1_interval", "change", "metrics", "params", "nonzeros"]
    network += [
        "sparsity",
        "scattered_zeros",
        "bits",
        "flops",
        "sparse_flops",
        "peak_activations",
        "file_bytes",
        "file_bytes_deflated",
        "sha256",
    ]
    network += ["latency_ms_p50", "latency_ms_p95", "path"]
    assert list(document["before"]) == list(document["after"]) == network
    file = ["network", "kind", "path", "failed", "passed", "reasons", "worst_layers"]
    file += ["num_samples", "top1", "top1_interval", "change", "metrics", "agreement", "gap"]
    file += ["gap_interval", "error", "file_bytes", "file_bytes_deflated", "sha256"]
    file += [
        "latency_ms_p50",
        "latency_ms_p95",
        "latency_ratio",
        "float_operators",
        "inputs",
        "outputs",
        "on_device",
        "notes",
    ]
    assert list(document["files"][0]) == file
    layer = ["name", "op", "channels_in_before", "channels_in_after", "channels_out_before"]
    layer += ["channels_out_after", "params_before", "params_after", "flops_before", "flops_after"]
    layer += ["sparse_flops_before", "sparse_flops_after"]
    layer += ["ratio", "sparsity_before", "sparsity_after", "bits_before", "bits_after", "facts"]
    assert list(document["layers"][0]) == layer
    assert document["after"]["change"] == {"low": -0.028, "high": -0.0184, "value": -0.0232}
    assert document["training"][-1]["val_accuracy"] == pytest.approx(0.9)
    assert document["schema_version"] == 2


def test_json_round_trip():
    report = samples.full_report()
    assert Report.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report


def test_a_report_from_before_digests_is_read():
    document = samples.full_report().to_dict()
    for part in (document["before"], document["after"], *document["files"]):
        del part["sha256"]
    report = Report.from_dict(document)
    assert report.after.sha256 is None
    assert [file.sha256 for file in report.files] == [None] * len(report.files)


def test_a_new_report_knows_time_versions_and_machine():
    report = Report(
        learner=("full-prec",),
        model_helper="h",
        dataset="d",
        seed=0,
        before=samples.BEFORE,
        after=samples.AFTER,
    )
    assert report.created.endswith("+00:00")
    assert {"python", "tensorflow", "keras", "numpy"} <= set(report.versions)
    assert report.machine.cores >= 1
    assert report.flowpress_version.count(".") == 2


def test_the_model_stays_in_memory():
    model = object()
    report = samples.report(model=model)
    assert report.model is model
    assert "model" not in report.to_dict()
    assert report == samples.report()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 1}, r"schema_version must be 2\. Received: 1"),
        ({"created": "yesterday"}, r"created must be an ISO 8601 time\. Received: 'yesterday'"),
        ({"seed": "0"}, r"seed must be a whole number\. Received: '0'"),
        ({"learner": "full-prec"}, r"learner must be a list\. Received: 'full-prec'"),
        ({"after": {**samples.AFTER.to_dict(), "top1": 89.41}}, r"after\.top1 must be in \[0, 1\]"),
        ({"accuracy": 0.9}, r"Report has unknown entries: accuracy\. Known: schema_version"),
    ],
)
def test_wrong_documents_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Report.from_dict({**samples.report().to_dict(), **change})


def test_files_are_found_by_kind_and_network():
    report = samples.full_report()
    assert report.kinds == ("float32", "dynamic", "int8")
    assert report.file("int8").path.endswith("model_int8.tflite")
    assert report.file("int8", "before").path.endswith("model_before_int8.tflite")
    assert report.file("float16") is None


def test_intervals():
    assert 0.0 in Estimate(value=0.1, low=-0.1, high=0.3)
    assert 0.4 not in Bounds(low=-0.1, high=0.3)
    with pytest.raises(ValueError, match=r"must not end before it begins. Received: 1.0 to 0.5"):
        Bounds(low=1, high=0.5)


def test_more_nonzeros_than_weights_are_refused():
    with pytest.raises(ValueError, match=r"nonzeros=3, params=2"):
        Network(params=2, nonzeros=3, sparsity=0, flops=0)

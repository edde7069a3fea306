"""The requests of the process that makes files; the process itself is in `conversion_test`."""

import io
import json

import numpy as np
import pytest

from utils.export import child
from utils.export.endpoints import output_names
from utils.export.saved_model import write_saved_model
from utils.export.tflite import convert
from utils.files import save_npz


@pytest.fixture
def request_for(tmp_path, network):
    write_saved_model(network, tmp_path / "network")
    return {
        "name": "net",
        "kind": "float32",
        "saved_model": str(tmp_path / "network"),
        "ranges_inside": False,
        "io_format": "int8",
        "target_device": None,
        "outputs": output_names(network),
        "target": str(tmp_path / "net.file"),
        "samples": None,
        "inputs": [],
    }


def answers_to(request):
    stream = io.BytesIO()
    child._make(request, stream)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_file_is_converted_then_run(request_for, tmp_path, contents):
    answers = answers_to(request_for)
    assert answers == [{"state": "converted", "notes": []}, {"state": "done"}]
    assert (tmp_path / "net.file").read_bytes() == contents["float32"]


def test_samples_come_from_a_file(request_for, tmp_path, network, calibration):
    save_npz({"input_0": calibration}, tmp_path / "samples.npz")
    request = request_for | {"kind": "int8", "inputs": ["images"], "io_format": "float32"}
    answers_to(request | {"samples": str(tmp_path / "samples.npz")})
    expected = convert(network, "int8", [calibration], io_format="float32")
    assert (tmp_path / "net.file").read_bytes() == expected


def test_single_samples_by_name(tmp_path):
    one, two = np.arange(6.0).reshape(3, 2), np.arange(3.0).reshape(3, 1)
    save_npz({"input_0": one, "input_1": two}, tmp_path / "samples.npz")
    request = {"samples": str(tmp_path / "samples.npz"), "inputs": ["a/b", "c"]}
    samples = child._samples(request)
    assert len(samples) == 3
    np.testing.assert_array_equal(samples[1]["a/b"], [[2.0, 3.0]])
    np.testing.assert_array_equal(samples[1]["c"], [[1.0]])
    assert child._samples({"samples": None}) == []

import json
import types

import numpy as np
import pytest

from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels import measured
from learners.channels.cost import STORED, NetworkCost
from learners.channels.groups import prunable_groups
from learners.channels.measured import FileMeter, MeasuredCost, Measurements, line, measured_kinds
from tests.learners import networks
from utils.errors import InputError
from utils.export.targets_cost import DeviceCost
from utils.export.tflite import convert
from utils.graph import from_keras, to_keras


@pytest.fixture
def cost():
    graph = from_keras(networks.vgg())
    return NetworkCost(graph, prunable_groups(graph, ChannelPrunedRmtConfig()))


FULL = np.array([8, 8, 12, 16])
HALF = FULL // 2


def test_measurements_outlive_the_process(tmp_path):
    path = tmp_path / "costs.json"
    Measurements(path, "a network").add({"bytes:1,2": 100.0})
    again = Measurements(path, "a network")
    assert "bytes:1,2" in again
    assert again["bytes:1,2"] == 100.0
    assert "bytes:1,3" not in again
    assert "bytes:1,2" not in Measurements(path, "another")


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"of": "", "values": {"a": "b"}}'])
def test_damaged_measurements_are_refused(tmp_path, content):
    (tmp_path / "costs.json").write_text(content)
    with pytest.raises(InputError, match=r"costs\.json: .* It is damaged"):
        Measurements(tmp_path / "costs.json")


def test_bytes_are_those_of_the_exported_file(cost):
    meter = FileMeter(cost, FULL, Measurements())
    found = meter.measure(HALF, ["bytes"])
    assert found == {"bytes": len(convert(to_keras(cost.cut(HALF)), "float32"))}


def test_nothing_is_measured_twice(cost, tmp_path, monkeypatch):
    measurements = Measurements(tmp_path / "costs.json")
    found = FileMeter(cost, FULL, measurements).measure(HALF, ["bytes", "latency"])
    assert set(json.loads((tmp_path / "costs.json").read_text())["values"]) == {
        "bytes:4,4,6,8",
        "latency:4,4,6,8",
        "latency:8,8,12,16",
    }
    monkeypatch.setattr(measured, "convert", None)
    again = FileMeter(cost, FULL, Measurements(tmp_path / "costs.json"))
    assert again.measure(HALF, ["bytes", "latency"]) == found


class Meter:
    """Pretends to measure: twice the stored numbers plus 100, and 7 more in one place."""

    def __init__(self, cost):
        self.cost = cost

    def measure(self, values, kinds):
        stored = float(self.cost(values[None])[STORED][0])
        return {kind: 2.0 * stored + 100.0 + 7.0 * (values[0] == 4) for kind in kinds}


def test_predictions_are_a_line_through_whole_networks_then_through_the_candidate(cost):
    candidates = np.array([FULL, [2, 2, 3, 4]])
    model = MeasuredCost(
        cost,
        ["bytes"],
        Meter(cost),
        predictors={"bytes": lambda values: cost(values)[STORED]},
        candidates=candidates,
    )
    found = model(np.array([HALF, FULL]))
    stored = cost(np.array([HALF, FULL]))[STORED]
    assert found["bytes"] == pytest.approx(2.0 * stored + 100.0)
    assert found.keys() == {"flops", "params", "bytes"}
    assert model.correct(HALF)["bytes"] == pytest.approx(2.0 * stored[0] + 107.0)
    assert model(HALF[None])["bytes"][0] == pytest.approx(2.0 * stored[0] + 107.0)
    assert model.measure(HALF)["flops"] == cost(HALF[None])["flops"][0]


def test_a_line_never_falls_whatever_the_noise_says():
    slope, intercept = line(np.array([1.0, 2.0]), np.array([5.0, 4.0]))
    assert (slope, intercept) == (3.0, 0.0)


def test_kinds_that_need_a_file():
    assert measured_kinds(("flops", "latency", "bytes")) == ("latency", "bytes")


def test_the_whole_network_costs_what_it_was_measured_at(cost):
    measurements = Measurements()
    first = FileMeter(cost, FULL, measurements).measure(FULL, ["latency"])["latency"]
    assert first == measurements["latency:8,8,12,16"] > 0.0


def test_a_device_is_asked_about_the_int8_file(cost, tmp_path, monkeypatch):
    asked = []

    def said(content, target):
        asked.append((len(content), target))
        estimate = types.SimpleNamespace(cycles=7_000) if target.startswith("ethos") else None
        return DeviceCost(target=target, sram_bytes=900, estimate=estimate)

    def made(model, kind, calibration, *, target):
        ((batch,),) = [tuple(each.values()) for each in calibration]
        assert kind == "int8" and batch.shape == (measured.NUM_SAMPLES, *model.input_shape[1:])
        return b"0" * model.count_params()

    monkeypatch.setattr(measured, "device_cost", said)
    monkeypatch.setattr(measured, "convert", made)
    path = tmp_path / "costs.json"
    meter = FileMeter(cost, FULL, Measurements(path), "ethos-u55")
    assert meter.measure(HALF, ["cycles"]) == {"cycles": 7_000}
    assert meter.measure(HALF, ["sram", "cycles"]) == {"sram": 900, "cycles": 7_000}  # of one file
    other = FileMeter(cost, FULL, Measurements(path), "tflm")
    assert other.measure(HALF, ["sram"]) == {"sram": 900}  # another device's is another number
    parameters = to_keras(cost.cut(HALF)).count_params()
    assert asked == [(parameters, "ethos-u55"), (parameters, "tflm")]

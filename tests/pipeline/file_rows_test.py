"""Rows of files: intervals from who is right on which sample, ratios from the same turns."""

import dataclasses

import numpy as np
import pytest

from pipeline.device_files import DeviceFiles
from pipeline.file_rows import change_of, file_rows, finite, interval_of
from utils.export.check import CheckResult
from utils.export.compare import Observation
from utils.export.ethos_u import CpuOperator, NpuEstimate, Target
from utils.export.targets_cost import DeviceCost
from utils.intervals import paired_interval, wilson_interval
from utils.latency import LatencyStats


def hits_of(both, first, second, neither):
    """Two columns of hits with these counts of pairs."""
    pairs = [(1.0, 1.0)] * both + [(1.0, 0.0)] * first + [(0.0, 1.0)] * second
    return np.array(pairs + [(0.0, 0.0)] * neither).T


def stats(blocks):
    middle = float(np.median(blocks))
    return LatencyStats(p50=middle, p95=2 * middle, mean=middle, n=60, block_p50=tuple(blocks))


def result(network, own, **changes):
    values = {"kind": "int8", "network": network, "num_samples": len(own), "hits": own}
    values |= {"top1": float(own.mean()), "file_bytes": 100, "path": f"{network}.tflite"}
    return dataclasses.replace(CheckResult(**values), **changes)


@pytest.fixture
def pair():
    after, before = hits_of(80, 2, 9, 9)
    keras_hits = before.copy()
    files = DeviceFiles(
        networks={
            "before": Observation(num_samples=100, hits=before),
            "after": Observation(num_samples=100, hits=keras_hits),
        },
        results=[
            result("before", before),
            result("after", after, gap=float(np.mean(keras_hits - after)), scores={"loss": 0.25}),
        ],
        timings={
            ("before", "int8"): stats([2.0, 2.0, 4.0, 2.0, 2.0, 2.0]),
            ("after", "int8"): stats([1.0, 1.0, 2.0, 1.0, 1.2, 0.9]),
        },
    )
    return files, before, after


def test_pairs_on_the_same_samples(pair):
    files, before, after = pair
    old, new = file_rows(files)
    assert (old.network, new.network) == ("before", "after")
    expected = paired_interval([[80, 2], [9, 9]])
    assert (new.change.low, new.change.high) == pytest.approx(expected)
    assert new.change.value == pytest.approx(-0.07)
    assert (new.top1_interval.low, new.top1_interval.high) == wilson_interval(82, 100)
    # Its own Keras model is right where the file before is: the gap is the loss, turned round.
    assert (new.gap_interval.low, new.gap_interval.high) == pytest.approx(
        (-expected.high, -expected.low)
    )
    assert old.change is None and old.passed is None
    assert new.passed is True and new.metrics == {"loss": 0.25}


def test_ratios_are_paired_block_by_block(pair):
    old, new = file_rows(pair[0])
    assert new.latency_ratio.value == pytest.approx(0.5)
    assert (new.latency_ratio.low, new.latency_ratio.high) == pytest.approx((0.45, 0.6))
    assert old.latency_ratio is None
    assert (new.latency_ms_p50, new.latency_ms_p95) == (1.0, 2.0)


def test_what_is_not_known_is_not_said(pair):
    files, before, after = pair
    failed = CheckResult(kind="dynamic", failed="it crashed.")
    other_metric = result("after", after, gap=0.3)
    blind = result("after", after, hits=None, error=float("nan"), gap=float("nan"))
    unheld = result("after", after, checked=False)
    rows = file_rows(DeviceFiles(files.networks, [failed, other_metric, blind, unheld], timings={}))
    assert (rows[0].failed, rows[0].passed, rows[0].file_bytes) == ("it crashed.", None, None)
    assert (rows[1].gap, rows[1].gap_interval, rows[1].change) == (0.3, None, None)
    assert (rows[2].gap, rows[2].error, rows[2].top1_interval) == (None, None, None)
    assert (rows[3].passed, rows[3].latency_ratio) == (None, None)
    assert (interval_of(None), change_of(None, before), change_of(after, None)) == (None,) * 3


def test_costs_and_files_that_were_turned_down(pair):
    files, _, after = pair
    found = NpuEstimate(
        target=Target(
            accelerator="ethos-u55-128", system_config="Ethos_U55_X", memory_mode="Sram_Only"
        ),
        weight_bytes=100,
        encoded_bytes=30,
        cycles=5_000,
        clock_hz=500e6,
        memory_bytes={"SRAM": 10},
        npu_operators=(),
        cpu_operators=(CpuOperator("PAD", "x"),),
    )
    declined = CheckResult(kind="sparse", declined="no kernel has zeros enough")
    costs = {("after", "int8"): DeviceCost(target="ethos-u55", sram_bytes=10, estimate=found)}
    changed = dataclasses.replace(files, results=[*files.results, declined], costs=costs)
    old, new = file_rows(changed)  # no row for what is no file
    assert old.on_device is None
    assert (new.on_device.encoded_bytes, new.on_device.milliseconds) == (30, 0.01)
    assert (new.on_device.device, new.on_device.sram_bytes) == ("ethos-u55-128", 10)
    assert new.on_device.cpu_operators == ("PAD (x)",) and new.on_device.memory_mode == "Sram_Only"


def test_reports_hold_numbers_only():
    assert finite({"loss": float("nan"), "auc": 0.5, "mae": float("inf")}) == {"auc": 0.5}

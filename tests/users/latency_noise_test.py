"""Equal networks are the same, whatever the clock says; a clear difference is said."""

import itertools
import time

import pytest

from tests.users.measured import short, trained
from utils.report.comparison import file_rows
from utils.report.findings import findings


@pytest.fixture
def clock(monkeypatch):
    """Run the float32 files of both networks at times of our choice, in nanoseconds."""

    def set_times(before, after):
        from pipeline import device_files

        now, seen = {"time": 0}, []
        calls = [itertools.cycle(before), itertools.cycle(after)]

        def opened(content, num_threads):
            if content not in seen:  # the file of the network before comes first
                seen.append(content)
            times = calls[seen.index(content)]

            def run():
                now["time"] += next(times)

            return run

        monkeypatch.setattr(device_files, "load_function", lambda reference: opened)
        monkeypatch.setattr(time, "perf_counter_ns", lambda: now["time"])

    return set_times


def latency_row(report):
    rows = file_rows(report, "float32")
    return next(row for row in rows if row.label == "Latency p50, float32")


def test_noise_is_not_called_slower(tmp_path, clock):
    """1.14 times as long in the median, but in some blocks less."""
    noise = [900, 1400, 1140, 1300, 800, 1200, 1140, 950, 1350, 1140]
    clock([1000], noise)
    options = {"tflite": "float32", "nb_repts": 10, "nb_repts_warmup": 0, "nb_epochs": 0.1}
    report = short(trained(), tmp_path, **options)
    file = report.file("float32")
    assert file.latency_ms_p50 == pytest.approx(1140e-6)
    assert file.latency_ratio.value == pytest.approx(1.14)
    assert (file.latency_ratio.low, file.latency_ratio.high) == pytest.approx((0.9, 1.35))
    assert (latency_row(report).word, latency_row(report).verdict) == ("same", "")
    assert not any("slower" in item.text for item in findings(report))


def test_a_slower_file_is(tmp_path, clock):
    clock([1000, 1100], [1300, 1430])
    options = {"tflite": "float32", "nb_repts": 10, "nb_repts_warmup": 0, "nb_epochs": 0.1}
    report = short(trained(), tmp_path, **options)
    assert report.file("float32").latency_ratio.value == pytest.approx(1.3)
    assert (latency_row(report).word, latency_row(report).verdict) == ("slower", "worse")
    assert any("The float32 file is slower than before" in item.text for item in findings(report))

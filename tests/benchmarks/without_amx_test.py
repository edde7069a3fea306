"""Files timed in a process of their own that may not use AMX."""

import platform
import sys

import keras
import pytest
from keras import layers

from benchmarks import without_amx
from utils.export.tflite import convert

LINUX = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.mark.skipif(not LINUX, reason="the filter is one of Linux on x86-64")
def test_files_are_timed_each(tmp_path):
    paths = []
    for width in (4, 512):
        inputs = keras.Input((16, 16, 8))
        model = keras.Model(inputs, layers.Conv2D(width, 3)(inputs))
        paths.append(tmp_path / f"{width}.tflite")
        paths[-1].write_bytes(convert(model, "float32"))
    narrow, wide = without_amx.measure_without_amx(paths)
    assert 0.0 < narrow < wide


def test_a_process_that_fails_is_said_so(tmp_path):
    with pytest.raises(RuntimeError, match=r"benchmarks\.without_amx failed"):
        without_amx.measure_without_amx([tmp_path / "missing.tflite"])


def test_processors_without_it(tmp_path, monkeypatch):
    monkeypatch.setattr(without_amx, "_CPUINFO", tmp_path / "cpuinfo")
    assert not without_amx.has_amx()
    (tmp_path / "cpuinfo").write_text("flags : avx2 amx_int8 fma", encoding="utf-8")
    assert without_amx.has_amx()

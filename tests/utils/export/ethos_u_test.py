import importlib.util
import pathlib

import keras
import numpy as np
import pytest

from tests.utils.export.pruned import images, small
from utils.errors import InputError
from utils.export import ethos_u
from utils.export.ethos_u import CpuOperator, Target, estimate, require_vela
from utils.export.targets import ACCELERATORS
from utils.export.tflite import convert

TARGET = Target(accelerator="ethos-u55-128")
NUM_WEIGHTS = 3 * 3 * 2 * 8 + 3 * 3 * 8 * 32 + 16 * 32 * 10


@pytest.fixture(scope="module")
def files():
    return {ratio: convert(small(ratio), "int8", [images()]) for ratio in (0.0, 0.9)}


@pytest.fixture(scope="module")
def estimates(files):
    return {ratio: estimate(content, TARGET) for ratio, content in files.items()}


def test_zeros_pay_after_encoding(estimates):
    dense, pruned = estimates[0.0], estimates[0.9]
    assert dense.weight_bytes == pruned.weight_bytes == NUM_WEIGHTS
    assert dense.encoded_bytes > 0.9 * NUM_WEIGHTS
    assert pruned.encoded_bytes < 0.4 * dense.encoded_bytes
    assert pruned.cycles < dense.cycles


def test_the_parts_make_the_whole(estimates):
    found = estimates[0.9]
    assert found.cycles == sum(operator.cycles for operator in found.npu_operators)
    names = [(each.operator, each.tensor) for each in found.npu_operators if each.cycles]
    assert [name for name, _ in names] == ["Conv2D", "Conv2D", "FullyConnected"]
    assert "conv1" in names[0][1] and "conv2" in names[1][1] and ";" not in names[0][1]
    # All positions of both convolutions, then the matrix product.
    macs = 36 * 18 * 8 + 16 * 72 * 32 + 512 * 10
    assert sum(operator.macs for operator in found.npu_operators) == macs
    assert found.cpu_operators == ()
    assert found.milliseconds == pytest.approx(1000 * found.cycles / 500e6)
    assert found.target.system_config == "Ethos_U55_High_End_Embedded"
    assert set(found.memory_bytes) == {"SRAM", "off-chip flash"}
    assert found.memory_bytes["off-chip flash"] >= found.encoded_bytes


def test_another_system(files):
    chosen = Target(
        accelerator="ethos-u55-32",
        system_config="Ethos_U55_Deep_Embedded",
        memory_mode="Sram_Only",
    )
    found = estimate(files[0.9], chosen)
    assert found.target == chosen and found.clock_hz == 200e6
    assert set(found.memory_bytes) == {"SRAM", "on-chip flash"}


def test_what_stays_on_the_cpu_is_named():
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(8, 3, name="conv")(inputs)
    x = keras.layers.Flatten()(keras.ops.cumsum(x, axis=-1))
    model = keras.Model(inputs, keras.layers.Dense(4, name="head")(x))
    found = estimate(convert(model, "int8", [images()]), TARGET)
    named = {operator.operator: operator for operator in found.cpu_operators}
    assert set(named) == {"DEQUANTIZE", "CUMSUM", "QUANTIZE"}
    assert "umsum" in named["CUMSUM"].tensor and named["CUMSUM"].reason == "Unsupported opType"
    assert str(CpuOperator("PAD", "x", "why")) == "PAD (x: why)"
    assert str(CpuOperator("PAD", "x")) == "PAD (x)"
    assert found.cycles > 0


def test_files_that_cannot_be_estimated(files):
    with pytest.raises(InputError, match=r"^ethos-u55-128 can run nothing .*CONV_2D .*Float32"):
        estimate(convert(small(), "float32"), TARGET)
    with pytest.raises(InputError, match=r"^vela cannot compile the file: it crashed \(SIG"):
        estimate(files[0.0][:2000], TARGET)
    with pytest.raises(InputError, match=r"^vela cannot compile the file: .*No networks defined"):
        estimate(b"hello", TARGET)
    with pytest.raises(InputError, match=r"^vela was not ready after 0.01 seconds\.$"):
        estimate(files[0.0], TARGET, seconds=0.01)
    unknown = Target(
        accelerator="ethos-u55-128", system_config="Ethos_U55_None", memory_mode="Sram_Only"
    )
    with pytest.raises(InputError, match=r"System_Config.Ethos_U55_None not found"):
        estimate(files[0.0], unknown)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"accelerator": "ethos-u55-129"},
            r"accelerator 'ethos-u55-129'\. Did you mean 'ethos-u55",
        ),
        ({"system_config": "Ethos_U55_X"}, r"must be given together\. Received: Ethos_U55_X and N"),
        ({"memory_mode": "Sram_Only"}, r"must be given together\. Received: None and Sram_Only"),
        (
            {"system_config": "Ethos_U65_Embedded", "memory_mode": "Sram_Only"},
            r"of ethos-u55-128 must be one of Ethos_U55_…\. Received: 'Ethos_U65_Embedded'",
        ),
    ],
)
def test_targets_that_are_none(arguments, message):
    with pytest.raises(InputError, match=message):
        Target(**{"accelerator": "ethos-u55-128", **arguments})


def test_without_the_compiler(monkeypatch):
    require_vela()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"need the package ethos-u-vela.*extra `npu`"):
        estimate(b"", TARGET)


@pytest.mark.parametrize(
    "summary", ["system_config\nx\n", "core_clock\n", "total_original_weights\nnan\n", None]
)
def test_results_of_another_version(monkeypatch, summary):
    def compiled(folder: pathlib.Path, target, seconds):
        (folder / "out").mkdir()
        if summary is not None:
            (folder / "out" / "network_summary_x.csv").write_text(summary)
        (folder / "out" / "network_per-layer.csv").write_text("Target\n")
        return ""

    monkeypatch.setattr(ethos_u, "_compile", compiled)
    with pytest.raises(InputError, match=r"^vela's result cannot be read \(.*5.2 is known to work"):
        estimate(b"", TARGET)


def test_every_accelerator_has_a_family():
    assert {name.rpartition("-")[0] for name in ACCELERATORS} == {
        "ethos-u55",
        "ethos-u65",
        "ethos-u85",
    }
    assert np.all([Target(accelerator=name).system_config is None for name in ACCELERATORS])

import pytest

from utils.errors import InputError
from utils.export.ethos_u import Target, estimate
from utils.export.targets_cost import can_cost, check_known, device_cost


def test_an_interpreter_says_its_arena(shortcuts_file):
    found = device_cost(shortcuts_file, "cortex-m")
    assert found.estimate is None
    # The stem's map and a copy of every second position of it at least; beside that, what the
    # interpreter keeps of eleven operators.
    assert 8 * 8 * 8 + 4 * 4 * 8 < found.sram_bytes < 32_000
    assert set(found.reference_operators) == {"MEAN", "STRIDED_SLICE"}
    assert device_cost(shortcuts_file, "tflm").reference_operators == ()


def test_an_interpreter_that_computes_something_else_is_found_out(shortcuts_file, monkeypatch):
    from utils.export import tflm

    real = tflm.TFLMRunner.run
    monkeypatch.setattr(
        tflm.TFLMRunner,
        "run",
        lambda self, samples: [[-1 - out for out in row] for row in real(self, samples)],
    )
    with pytest.raises(InputError, match=r"other numbers than LiteRT .* of 255 steps .* 'head'"):
        device_cost(shortcuts_file, "tflm")


def test_a_compiler_says_cycles(shortcuts_file):
    found = device_cost(shortcuts_file, "ethos-u55")
    direct = estimate(shortcuts_file, Target(accelerator="ethos-u55-128"))
    assert found.estimate.cycles == direct.cycles > 0
    assert found.sram_bytes == direct.memory_bytes["SRAM"] > 8 * 8 * 8
    assert device_cost(shortcuts_file, "ethos-u55-32").estimate.cycles > direct.cycles


def test_phones_are_timed_instead(shortcuts_file):
    assert not can_cost("litert") and can_cost("tflm")
    with pytest.raises(InputError, match="LiteRT times it instead"):
        device_cost(shortcuts_file, "litert")


def test_budgets_of_what_is_not_known():
    check_known("flops", None)
    check_known("sram", "tflm")
    check_known("cycles", "ethos-u65")
    with pytest.raises(InputError, match=r"cycles are .* --target=cortex-m. .* ethos-u55, ethos"):
        check_known("cycles", "cortex-m")
    with pytest.raises(InputError, match=r"sram are .* Received: no --target. .* one of tflm, "):
        check_known("sram", None)

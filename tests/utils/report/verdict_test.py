import pytest

from tests.utils.report import samples
from utils.report import Estimate, Failure
from utils.report.verdict import verdict

LOST = "238 of 10,000 samples lost"
SHIP = "ship model_int8.tflite, 171 kB"


def test_gain_cost_and_the_file_to_ship():
    report = samples.report(files=samples.pair())
    assert verdict(report) == f"Half the compute; {LOST}; {SHIP}."


@pytest.mark.parametrize(
    ("after", "gain"),
    [
        ({"flops": 10_203_296}, "25 % of the compute"),
        ({"flops": samples.BEFORE.flops}, "half the parameters"),
        (
            {"flops": None, "params": 272_474, "nonzeros": 27_474, "sparsity": 0.9},
            "90.0 % of the weights are zero",
        ),
        ({"flops": None, "params": 272_474, "nonzeros": 272_474}, "no smaller than before"),
    ],
)
def test_what_was_gained(after, gain):
    report = samples.report(after=samples.replaced(samples.AFTER, **after))
    assert verdict(report).lower().startswith(f"{gain};")


def test_bits():
    before, after = (
        samples.replaced(network, bits=bits, flops=None, params=9, nonzeros=9)
        for network, bits in ((samples.BEFORE, 32.0), (samples.AFTER, 3.25))
    )
    report = samples.report(before=before, after=after)
    assert verdict(report).startswith("3.25 bits a weight instead of 32; ")


def test_the_bytes_that_decided_are_those_of_the_deflated_file():
    report = samples.decided_deflated()
    said = verdict(report)
    assert said.endswith(f"; {SHIP} (63.0 kB deflated, 251 kB before).")
    alone = verdict(samples.decided_deflated(files=report.files[1:]))
    assert alone.endswith(f"; {SHIP} (63.0 kB deflated).")


def test_a_change_that_may_be_chance_says_so():
    change = Estimate(value=-0.0001, low=-0.001, high=0.0008)
    files = samples.pair(top1=0.9172, change=change)
    assert "; 1 of 10,000 samples lost, within noise; " in verdict(samples.report(files=files))
    files = samples.pair(top1=0.9173, change=change)
    assert "; none of 10,000 samples lost; " in verdict(samples.report(files=files))


def test_no_file_and_failures():
    assert verdict(samples.report()).endswith("; no file was exported.")
    bad = (samples.file(passed=False),)
    assert verdict(samples.report(files=bad)).endswith("; no exported file passed its check.")
    failed = (Failure(step="latency", reason="x"),)
    report = samples.report(files=samples.pair(), failures=failed)
    assert verdict(report).endswith("; the step latency failed, see below.")


def test_accuracy_unknown():
    after = samples.replaced(samples.AFTER, top1=None, num_samples=None, top1_interval=None)
    assert "; accuracy was not measured; " in verdict(samples.report(after=after))

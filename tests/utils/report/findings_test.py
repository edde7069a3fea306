import dataclasses

import pytest

from tests.utils.report import samples
from utils.report import Bounds, Capability, Estimate, Failure, File
from utils.report.findings import LEVELS, findings


def said(report, level=None):
    return [item.text for item in findings(report) if level in (None, item.level)]


def with_after(**changes):
    changes = {"change": None} | changes
    return samples.report(after=samples.replaced(samples.AFTER, **changes), files=samples.pair())


def with_ratio(value, low, high, **changes):
    """A pair of int8 files whose latencies are compared so; other figures after as in AFTER."""
    ratio = Estimate(value=value, low=low, high=high)
    files = samples.pair(latency_ms_p50=0.209 * value, latency_ratio=ratio)
    return samples.report(after=samples.replaced(samples.AFTER, **changes), files=files)


def test_most_urgent_first():
    levels = [LEVELS.index(item.level) for item in findings(samples.full_report())]
    assert levels == sorted(levels)


def test_a_good_run():
    report = with_after(top1=0.915)
    assert said(report, "gain") == [
        "50.00 % of the multiply-adds and 51.02 % of the parameters are left.",
        "The int8 file is faster than before: 0.094 ms against 0.209 ms (0.45x [0.43, 0.47]).",
        "The int8 file passed its check: same class for 99.02 % of the samples, 0.06 points lost, "
        "which may be chance.",
    ]
    assert said(report, "note") == ["Accuracy fell by 0.23 points, from 91.73 % to 91.50 %."]
    assert len(findings(report)) == 4


@pytest.mark.parametrize(
    ("top1", "level", "text"),
    [
        (0.9073, "warning", "Accuracy fell by 1.00 points, from 91.73 % to 90.73 %."),
        (0.9273, "gain", "Accuracy rose by 1.00 points, from 91.73 % to 92.73 %."),
        (0.9173, "gain", "Accuracy is unchanged at 91.73 %."),
        (None, "unknown", "Accuracy was not measured."),
    ],
)
def test_accuracy(top1, level, text):
    assert text in said(with_after(top1=top1), level)


def test_a_difference_that_may_be_chance_is_only_noted():
    change = Estimate(value=-0.0028, low=-0.0112, high=0.0057)
    report = with_after(top1=0.9145, change=change, num_samples=359)
    text = (
        "Accuracy changed by 0.28 points, from 91.73 % to 91.45 %: less than 359 samples can tell "
        "from chance (95 % interval -1.12 to +0.57)."
    )
    assert text in said(report, "note")
    assert not any("Accuracy" in item for item in said(report, "warning") + said(report, "gain"))


def test_a_clear_difference_has_its_interval():
    assert (
        "Accuracy fell by 2.32 points, from 91.73 % to 89.41 % (95 % interval -2.80 to -1.84)."
    ) in said(samples.report(), "warning")


def test_an_accuracy_that_rose_says_that_training_was_not_done():
    change = Estimate(value=0.07, low=0.06, high=0.08)
    report = with_after(top1=0.9873, change=change)
    assert any("had not been trained out" in text for text in said(report, "warning"))
    control = samples.replaced(samples.BEFORE, top1=0.99)
    report = dataclasses.replace(report, control=control)
    assert not any("had not been trained out" in text for text in said(report))


@pytest.mark.parametrize(
    ("versus", "level", "text"),
    [
        ((-0.0259, -0.03, -0.02), "warning", "against it, compression costs 2.59 points (95 % "),
        ((-0.0059, -0.009, -0.002), "note", "against it, compression costs 0.59 points"),
        ((-0.0009, -0.003, 0.001), "gain", "the compressed one is level with it (95 % interval"),
        ((0.0041, 0.001, 0.008), "gain", "the compressed one is 0.41 points over it"),
    ],
)
def test_the_control(versus, level, text):
    value, low, high = versus
    control = samples.replaced(samples.BEFORE, top1=samples.AFTER.top1 - value)
    versus = Estimate(value=value, low=low, high=high)
    report = samples.report(control=control, versus_control=versus)
    head = "Trained for as long as the compressed one, the network before reaches "
    (found,) = [item for item in said(report, level) if item.startswith(head)]
    assert text in found


def test_slower_although_there_is_less_to_do():
    assert (
        "The int8 file is slower than before: 0.268 ms against 0.209 ms (1.28x [1.20, 1.35]), "
        "although it has only 0.50x the FLOPs."
    ) in said(with_ratio(1.28, 1.2, 1.35), "warning")


def test_slower_without_less_to_do():
    report = with_ratio(1.28, 1.2, 1.35, flops=samples.BEFORE.flops)
    (text,) = [text for text in said(report, "warning") if "slower" in text]
    assert text.endswith("(1.28x [1.20, 1.35]).")


def test_noise_is_not_called_slower():
    report = with_ratio(1.14, 0.95, 1.31, flops=samples.BEFORE.flops)
    assert not any("slower" in text for text in said(report))
    assert any("no faster than before: 0.238 ms against" in text for text in said(report, "note"))
    report = with_ratio(1.14, 0.95, 1.31)
    assert any("although FLOPs fell to 0.50x" in text for text in said(report, "warning"))


def test_latency_not_measured():
    files = samples.pair(latency_ms_p50=None, latency_ratio=None)
    text = "Latency was not measured before and after: whether the network is faster is unknown."
    assert text in said(samples.report(files=files), "unknown")
    assert text in said(samples.report(), "unknown")
    assert text not in said(samples.report(files=samples.pair()), "unknown")


def test_more_work_than_before():
    assert "The network does more work than before: 2.00x the FLOPs." in said(
        with_after(flops=2 * samples.BEFORE.flops), "warning"
    )


def test_no_speed_up_from_scattered_zeros():
    report = with_after(nonzeros=34_755, sparsity=0.75)
    (text,) = [text for text in said(report, "warning") if "zero" in text]
    assert text.startswith("75.00 % of the weights are zero. No speed-up expected from that")
    assert text.endswith("only after compression: 540 kB deflated, 1.01 MB before.")


def test_no_speed_up_from_zeros_without_file_sizes():
    report = with_after(nonzeros=34_755, sparsity=0.75, file_bytes_deflated=None)
    (text,) = [text for text in said(report, "warning") if "zero" in text]
    assert text.endswith("only after compression.")


def test_whole_channels_of_zeros_are_no_scattered_zeros():
    report = with_after(nonzeros=34_755, sparsity=0.75, scattered_zeros=0.01)
    (text,) = [text for text in said(report, "warning") if "zero" in text]
    assert text.startswith("75.00 % of the weights are zero, nearly all of them whole channels.")
    report = with_after(nonzeros=34_755, sparsity=0.75, scattered_zeros=0.7)
    assert any("scattered zeros like by any number" in text for text in said(report, "warning"))


def test_costs_on_an_ethos_u():
    before = samples.file_before(
        on_device=samples.on_device(cycles=2_500_000, encoded_bytes=260_000)
    )
    after = samples.file(on_device=samples.on_device())
    text = (
        "On ethos-u55-128 the int8 file takes an estimated 1,000,000 cycles (2.00 ms), 40.0 kB of "
        "memory, and its weights, encoded, 80.0 kB"
    )
    found = said(samples.report(files=(before, after)), "gain")
    assert f"{text}; the file before 2,500,000 cycles, 40.0 kB and 260 kB." in found
    assert f"{text}." in said(samples.report(files=(after,)), "note")
    slower = samples.file(on_device=samples.on_device(cycles=2_600_000))
    assert not any("Ethos" in each for each in said(samples.report(files=(before, slower)), "gain"))


def test_memory_on_a_microcontroller():
    quiet = {"cycles": None, "encoded_bytes": None, "device": "cortex-m"}
    before = samples.file_before(on_device=samples.on_device(**quiet, sram_bytes=81_000))
    slow = {"reference_operators": ("LOGISTIC", "MEAN")}
    after = samples.file(on_device=samples.on_device(**quiet, **slow))
    found = samples.report(files=(before, after))
    text = "On cortex-m the int8 file runs in 40.0 kB; the file before in 81.0 kB."
    assert text in said(found, "gain")
    (named,) = [each for each in said(found, "note") if "reference kernels" in each]
    assert named.endswith("LOGISTIC, MEAN.")


@pytest.mark.parametrize(
    ("operators", "words"),
    [
        (("PAD (x: why)",), "1 operator of the int8 file stays on the CPU beside ethos-u55-128"),
        (tuple("abcde"), "5 operators of the int8 file stay on the CPU beside ethos-u55-128"),
    ],
)
def test_what_stays_on_the_cpu(operators, words):
    file = samples.file(on_device=samples.on_device(cpu_operators=operators))
    (text,) = [t for t in said(samples.report(files=(file,)), "warning") if "the CPU" in t]
    assert text.startswith(words)
    listed = "PAD (x: why)." if len(operators) == 1 else "a; b; c and 2 more."
    assert text.endswith(f"which the estimate leaves out: {listed}")


def test_zeros_that_were_there_before_are_only_noted():
    before = samples.replaced(samples.BEFORE, nonzeros=100_000, sparsity=0.63)
    after = samples.replaced(samples.AFTER, nonzeros=50_000, sparsity=0.64)
    report = samples.report(before=before, after=after)
    assert "64.00 % of the weights are zero." in said(report, "note")
    assert not any("No speed-up" in text for text in said(report))


def test_a_file_that_got_bigger():
    report = with_after(file_bytes=1_300_000, file_bytes_deflated=1_100_000)
    texts = said(report, "warning")
    assert "The .keras file is bigger than before: 1.30 MB against 1.19 MB (1.10x)." in texts
    assert (
        "The deflated .keras file is bigger than before: 1.10 MB against 1.01 MB (1.09x)." in texts
    )


def test_a_result_that_was_not_saved():
    report = with_after(file_bytes=None, file_bytes_deflated=None)
    assert "The result was not saved, so its size is unknown." in said(report, "unknown")


def test_a_failed_check_is_a_problem():
    file = samples.file(
        passed=False, agreement=0.91, gap=0.061, gap_interval=Bounds(low=0.05, high=0.07)
    )
    report = samples.report(files=(file,))
    assert findings(report)[0].level == "problem"
    assert findings(report)[0].text == (
        "The int8 file failed its check against the Keras model: do not ship it: same "
        "class for 91.00 % of the samples, 6.10 points lost."
    )


@pytest.mark.parametrize(
    ("gap", "words"), [(-0.001, "0.10 points gained"), (0.0, "no accuracy lost")]
)
def test_the_gap_in_words(gap, words):
    report = samples.report(files=(samples.file(gap=gap, gap_interval=None),))
    assert any(text.endswith(f", {words}.") for text in said(report, "gain"))


def test_files_that_do_the_same_share_a_sentence():
    equal = [samples.file(kind, agreement=1.0, gap=0.0) for kind in ("float32", "dynamic")]
    texts = said(samples.report(files=(*equal, samples.file("int8"))), "gain")
    assert (
        "The float32, dynamic and int8 files passed their checks. float32 and dynamic: same class "
        "for 100.00 % of the samples, no accuracy lost; int8: same class for 99.02 % of the "
        "samples, 0.06 points lost, which may be chance."
    ) in texts


def test_a_file_that_was_not_checked_or_timed():
    file = samples.file(passed=None, agreement=None, gap=None, latency_ms_p50=None)
    texts = said(samples.report(files=(file,)), "unknown")
    assert texts == [
        "Latency was not measured before and after: whether the network is faster is unknown.",
        "The int8 file was not checked against the Keras model.",
        "The latency of the int8 file was not measured.",
    ]


def test_a_file_that_could_not_be_made():
    failed = "the process of the int8 file crashed. Leave int8 out of --tflite."
    report = samples.report(
        files=(
            File(kind="int8", network="before", failed=failed),
            samples.file("float32"),
            File(kind="int8", failed=failed),
        )
    )
    assert findings(report)[0].level == "problem"
    assert findings(report)[0].text == f"There is no int8 file: {failed}"
    assert any("nothing to be compared with: of the network" in t for t in said(report, "note"))
    assert any(text.startswith("The float32 file passed") for text in said(report, "gain"))


def test_steps_that_failed_come_first():
    failures = (Failure(step="latency", reason="RuntimeError: no clock."),)
    first = findings(samples.report(failures=failures))[0]
    assert (first.level, first.text) == (
        "problem",
        "The step latency failed: RuntimeError: no clock.",
    )


def test_how_a_file_came_about_is_noted():
    report = samples.report(files=(samples.file(notes=("gru stands unrolled.",)),))
    assert "gru stands unrolled." in said(report, "note")


def test_no_file_at_all():
    assert any("No file was exported" in text for text in said(samples.report(), "unknown"))


def test_a_quantized_file_that_gains_nothing():
    files = (
        samples.file("float32", file_bytes=100_000, latency_ms_p50=0.2),
        samples.file("dynamic", file_bytes=110_000, latency_ms_p50=0.25),
    )
    texts = said(samples.report(files=files), "warning")
    assert (
        "The dynamic file is slower than the float32 one on this machine: 0.250 ms against "
        "0.200 ms."
    ) in texts
    assert "The dynamic file is bigger than the float32 one: 110 kB against 100 kB." in texts


def test_layers_kept_and_notes_of_the_run():
    items = [Capability(layer=name, action="kept", reason="unknown layer") for name in "aab"]
    items.append(Capability(layer="c", action="cut", reason="16 channels"))
    texts = said(samples.report(capability=items, notes=("A remark.",)), "note")
    assert texts == [
        '2 of 3 layers keep all channels that they give; "What can be cut" says why.',
        "A remark.",
    ]


def test_search():
    search = samples.search()
    assert "1 of 60 search trials failed." in said(samples.report(searches=(search,)), "note")
    nothing = dataclasses.replace(search, winner=None)
    assert "The search found no setting that works." in said(
        samples.report(searches=(nothing,)), "warning"
    )

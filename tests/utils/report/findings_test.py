import dataclasses

import pytest

from tests.utils.report import samples
from utils.report import Capability
from utils.report.findings import LEVELS, findings


def said(report, level=None):
    return [item.text for item in findings(report) if level in (None, item.level)]


def with_after(**changes):
    return samples.report(
        after=samples.replaced(samples.AFTER, **changes), tflite=(samples.tflite(),)
    )


def test_most_urgent_first():
    levels = [LEVELS.index(item.level) for item in findings(samples.full_report())]
    assert levels == sorted(levels)


def test_a_good_run():
    report = with_after(top1=0.915)
    assert said(report, "gain") == [
        "50.00 % of the multiply-adds and 51.02 % of the parameters are left.",
        "Faster than before: 0.298 ms against 0.431 ms (0.69x).",
        "The int8 .tflite passed its check. It names the same class for 99.02 % of the samples and "
        "loses 0.06 points.",
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


def test_slower_although_there_is_less_to_do():
    assert (
        "Slower than before: 0.550 ms against 0.431 ms (1.28x), although it has only 0.50x the "
        "FLOPs."
    ) in said(with_after(latency_ms_p50=0.55), "warning")


def test_slower_without_less_to_do():
    report = with_after(latency_ms_p50=0.55, flops=samples.BEFORE.flops)
    assert "Slower than before: 0.550 ms against 0.431 ms (1.28x)." in said(report, "warning")


def test_no_faster_although_flops_fell():
    text = "No faster than before: 0.431 ms against 0.431 ms (1.00x)"
    assert f"{text}, although FLOPs fell to 0.50x." in said(
        with_after(latency_ms_p50=0.431), "warning"
    )
    report = with_after(latency_ms_p50=0.431, flops=samples.BEFORE.flops)
    assert f"{text}." in said(report, "note")


def test_latency_not_measured():
    assert (
        "Latency was not measured before and after: whether the network is faster is unknown."
    ) in said(with_after(latency_ms_p50=None), "unknown")


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
    report = samples.report(tflite=(samples.tflite(passed=False, agreement=0.91, gap=0.061),))
    assert findings(report)[0].level == "problem"
    assert findings(report)[0].text == (
        "The int8 .tflite failed its check against the Keras model: do not ship it. It names the "
        "same class for 91.00 % of the samples and loses 6.10 points."
    )


@pytest.mark.parametrize(
    ("gap", "words"), [(-0.001, "gains 0.10 points"), (0.0, "loses no accuracy")]
)
def test_the_gap_in_words(gap, words):
    report = samples.report(tflite=(samples.tflite(gap=gap),))
    assert any(text.endswith(f"and {words}.") for text in said(report, "gain"))


def test_a_file_that_was_not_checked_or_timed():
    file = samples.tflite(passed=None, agreement=None, gap=None, latency_ms_p50=None)
    texts = said(samples.report(tflite=(file,)), "unknown")
    assert texts == [
        "The int8 .tflite was not checked in the interpreter.",
        "The latency of the int8 .tflite was not measured.",
    ]


def test_no_file_at_all():
    assert any("No .tflite file was exported" in text for text in said(samples.report(), "unknown"))


def test_a_quantized_file_that_gains_nothing():
    files = (
        samples.tflite("float32", file_bytes=100_000, latency_ms_p50=0.2),
        samples.tflite("dynamic", file_bytes=110_000, latency_ms_p50=0.25),
    )
    texts = said(samples.report(tflite=files), "warning")
    assert (
        "The dynamic .tflite is slower than the float32 one on this machine: 0.250 ms against "
        "0.200 ms."
    ) in texts
    assert "The dynamic .tflite is bigger than the float32 one: 110 kB against 100 kB." in texts


def test_layers_kept_and_notes_of_the_run():
    items = [Capability(layer=name, action="kept", reason="unknown layer") for name in "aab"]
    items.append(Capability(layer="c", action="cut", reason="16 channels"))
    texts = said(samples.report(capability=items, notes=("A remark.",)), "note")
    assert texts == [
        "2 layers are of a kind or in a place that is never cut; see below.",
        "A remark.",
    ]


def test_search():
    search = samples.search()
    assert "1 of 60 search trials failed." in said(samples.report(search=search), "note")
    assert "The setting found by the ddpg search is +0.49 points over uniform." in said(
        samples.report(search=search), "gain"
    )
    uniform = dataclasses.replace(search, kept="uniform")
    assert any(
        "no better than the uniform one" in text for text in said(samples.report(search=uniform))
    )
    nothing = dataclasses.replace(search, winner=None)
    assert "The search found no setting that works." in said(
        samples.report(search=nothing), "warning"
    )

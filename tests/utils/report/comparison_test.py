import pytest

from tests.utils.report import samples
from utils.report.comparison import deployed_file, network_rows, tflite_rows


def rows_by_label(report):
    return {row.label: row for row in network_rows(report)}


def test_changes_are_given_as_factor_or_points():
    rows = rows_by_label(samples.report())
    accuracy = rows["Top-1 accuracy"]
    assert (accuracy.before, accuracy.after) == ("91.73 %", "89.41 %")
    assert accuracy.change_in_words == "-2.32 points, lower"
    assert accuracy.verdict == "worse"
    flops = rows["FLOPs (multiply-adds)"]
    assert (flops.before, flops.after) == ("40.8 M", "20.4 M")
    assert flops.change_in_words == "0.50x, fewer"
    assert flops.verdict == "better"
    assert rows["Latency p50, float32"].change_in_words == "0.69x, faster"
    assert rows[".keras file"].change_in_words == "0.55x, smaller"


def test_growth_is_called_so():
    after = samples.replaced(samples.AFTER, latency_ms_p50=0.862, file_bytes=2_372_608)
    rows = rows_by_label(samples.report(after=after))
    assert rows["Latency p50, float32"].change_in_words == "2.00x, slower"
    assert rows["Latency p50, float32"].verdict == "worse"
    assert rows[".keras file"].change_in_words == "2.00x, bigger"


def test_latencies_within_the_noise_are_the_same():
    after = samples.replaced(samples.AFTER, latency_ms_p50=0.431 * 1.029)
    row = rows_by_label(samples.report(after=after))["Latency p50, float32"]
    assert row.word == "same"
    assert row.verdict == ""


def test_sizes_that_differ_by_a_name_are_the_same():
    after = samples.replaced(samples.AFTER, file_bytes=1_186_900)
    assert (
        rows_by_label(samples.report(after=after))[".keras file"].change_in_words == "1.00x, same"
    )


def test_nonzeros_have_a_row_only_when_there_are_zeros():
    assert "Non-zero parameters" not in rows_by_label(samples.report())
    after = samples.replaced(samples.AFTER, nonzeros=13_900, sparsity=0.9)
    assert rows_by_label(samples.report(after=after))["Non-zero parameters"].after == "13.9 k"


def test_what_was_not_measured():
    nothing = {"latency_ms_p50": None, "latency_ms_p95": None, "file_bytes": None, "top1": None}
    before = samples.replaced(samples.BEFORE, **nothing)
    rows = rows_by_label(samples.report(before=before))
    assert (rows[".keras file"].before, rows[".keras file"].change_in_words) == ("–", "")
    assert rows["Top-1 accuracy"].change_in_words == ""
    rows = rows_by_label(
        samples.report(before=before, after=samples.replaced(samples.AFTER, **nothing))
    )
    assert not {"Top-1 accuracy", ".keras file", "Latency p50, float32"} & set(rows)


def test_metrics_are_compared_without_judgement():
    before = samples.replaced(samples.BEFORE, top1=None, metrics={"mAP": 0.71, "loss": 2.0})
    after = samples.replaced(samples.AFTER, top1=None, metrics={"mAP": 0.69})
    rows = rows_by_label(samples.report(before=before, after=after))
    assert (rows["mAP"].change, rows["mAP"].verdict) == ("-0.02", "")
    assert (rows["loss"].after, rows["loss"].change) == ("–", "")


def test_accuracy_is_not_said_twice():
    before = samples.replaced(samples.BEFORE, metrics={"accuracy": 0.9173})
    after = samples.replaced(samples.AFTER, metrics={"accuracy": 0.8941})
    assert "accuracy" not in rows_by_label(samples.report(before=before, after=after))


def test_tflite_rows_compare_with_the_network_before():
    report = samples.report()
    rows = {row.label: row for row in tflite_rows(report, samples.tflite())}
    assert rows["Accuracy of int8 .tflite"].change == "-2.38 points"
    assert (rows["int8 .tflite file"].before, rows["int8 .tflite file"].after) == ("–", "171 kB")
    assert rows["Latency p50, int8"].change_in_words == "0.22x, faster"
    rows = tflite_rows(report, samples.tflite(top1=None, latency_ms_p50=None))
    assert [row.label for row in rows] == ["int8 .tflite file"]


@pytest.mark.parametrize(("passed", "kind"), [(True, "int8"), (None, "int8"), (False, "float32")])
def test_a_file_that_failed_is_not_the_one_to_ship(passed, kind):
    files = (samples.tflite("float32", file_bytes=590_000), samples.tflite("int8", passed=passed))
    assert deployed_file(samples.report(tflite=files)).kind == kind


def test_nothing_to_ship():
    assert deployed_file(samples.report()) is None

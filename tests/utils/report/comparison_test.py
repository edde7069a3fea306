import pytest

from tests.utils.report import samples
from utils.report import Estimate, File, OnDevice
from utils.report.comparison import (
    comparison_rows,
    deployed_file,
    file_rows,
    is_clear,
)


def rows_by_label(report):
    return {row.label: row for row in comparison_rows(report)}


def with_files(**after):
    """A report with a pair of float32 files; `after` changes the second."""
    return samples.report(files=samples.pair("float32", **after))


def test_changes_are_given_as_factor_or_points():
    rows = rows_by_label(samples.report())
    accuracy = rows["Top-1 accuracy"]
    assert (accuracy.before, accuracy.after) == ("91.73 %", "89.41 %")
    assert accuracy.change_in_words == "-2.32 points [-2.80, -1.84], lower"
    assert accuracy.verdict == "worse"
    flops = rows["FLOPs (multiply-adds)"]
    assert (flops.before, flops.after) == ("40.8 M", "20.4 M")
    assert flops.change_in_words == "0.50x, fewer"
    assert flops.verdict == "better"
    assert rows[".keras file"].change_in_words == "0.55x, smaller"


def test_growth_is_called_so():
    slow = Estimate(value=2.0, low=1.9, high=2.2)
    after = samples.replaced(samples.AFTER, file_bytes=2_372_608)
    files = samples.pair("float32", latency_ms_p50=0.418, latency_ratio=slow, file_bytes=613_000)
    rows = rows_by_label(samples.report(after=after, files=files))
    assert rows["Latency p50, float32"].change_in_words == "2.00x [1.90, 2.20], slower"
    assert rows["Latency p50, float32"].verdict == "worse"
    assert rows[".keras file"].change_in_words == "2.00x, bigger"
    assert rows["float32 file"].change_in_words == "2.00x, bigger"


@pytest.mark.parametrize(
    ("ratio", "word", "verdict"),
    [
        ((1.14, 0.95, 1.31), "same", ""),  # the blocks of the measurement disagree
        ((1.02, 1.01, 1.03), "same", ""),  # two interpreters of one file differ as much
        ((1.14, 1.05, 1.2), "slower", "worse"),
        ((0.93, 0.9, 0.99), "faster", "better"),
    ],
)
def test_noise_is_not_called_slower(ratio, word, verdict):
    value, low, high = ratio
    estimate = Estimate(value=value, low=low, high=high)
    row = rows_by_label(with_files(latency_ratio=estimate))["Latency p50, float32"]
    assert (row.word, row.verdict) == (word, verdict)
    assert is_clear(estimate) is (verdict != "")


def test_latencies_without_a_spread_are_compared_by_what_they_are():
    files = samples.pair("float32", latency_ms_p50=0.209 * 1.029, latency_ratio=None)
    row = rows_by_label(samples.report(files=files))["Latency p50, float32"]
    assert (row.change_in_words, row.verdict) == ("1.03x, same", "")


def test_one_image_is_not_painted_as_a_loss():
    change = Estimate(value=-0.0028, low=-0.0112, high=0.0057)
    after = samples.replaced(samples.AFTER, top1=0.9145, change=change)
    row = rows_by_label(samples.report(after=after))["Top-1 accuracy"]
    assert row.change_in_words == "-0.28 points [-1.12, 0.57], unclear"
    assert row.verdict == ""


def test_accuracies_stand_with_their_interval_and_the_number_of_samples():
    row = rows_by_label(samples.report())["  95 % interval"]
    assert (row.before, row.after, row.change) == ("91.2–92.2", "88.8–90.0", "n = 10,000")


def test_the_control_is_compared_with():
    row = rows_by_label(samples.full_report())["Top-1 beside control"]
    assert (row.before, row.after) == ("91.92 %", "89.41 %")
    assert row.change_in_words == "-2.51 points [-3.01, -2.01], lower"
    assert "Top-1 beside control" not in rows_by_label(samples.report())


def test_sizes_that_differ_by_a_name_are_the_same():
    after = samples.replaced(samples.AFTER, file_bytes=1_186_900)
    assert (
        rows_by_label(samples.report(after=after))[".keras file"].change_in_words == "1.00x, same"
    )


def test_nonzeros_have_a_row_only_when_there_are_zeros():
    assert "Non-zero parameters" not in rows_by_label(samples.report())
    after = samples.replaced(samples.AFTER, nonzeros=13_900, sparsity=0.9)
    assert rows_by_label(samples.report(after=after))["Non-zero parameters"].after == "13.9 k"


def test_bits_have_a_row_only_when_they_changed():
    assert "Bits per weight" not in rows_by_label(samples.report())
    before = samples.replaced(samples.BEFORE, bits=32.0)
    after = samples.replaced(samples.AFTER, bits=4.25)
    row = rows_by_label(samples.report(before=before, after=after))["Bits per weight"]
    assert (row.before, row.after, row.change_in_words) == ("32", "4.25", "0.13x, fewer")


def test_what_was_not_measured():
    nothing = {"file_bytes": None, "top1": None, "top1_interval": None, "flops": None}
    before = samples.replaced(samples.BEFORE, **nothing)
    rows = rows_by_label(samples.report(before=before))
    assert (rows[".keras file"].before, rows[".keras file"].change_in_words) == ("–", "")
    assert rows["Top-1 accuracy"].change_in_words == ""
    rows = rows_by_label(
        samples.report(before=before, after=samples.replaced(samples.AFTER, **nothing))
    )
    missing = {"Top-1 accuracy", ".keras file", "FLOPs (multiply-adds)", "  95 % interval"}
    assert not missing & set(rows)


def test_what_zeros_are_worth_has_rows_only_where_it_is_known():
    after = samples.replaced(samples.AFTER, nonzeros=13_900, sparsity=0.9, sparse_flops=2_040_659)
    before = samples.replaced(samples.BEFORE, sparse_flops=40_813_184)
    rows = rows_by_label(samples.report(before=before, after=after))
    row = rows["Non-zero FLOPs"]
    assert (row.before, row.after, row.change_in_words) == ("40.8 M", "2.04 M", "0.05x, fewer")
    assert "Non-zero FLOPs" not in rows_by_label(samples.report(before=before))
    files = samples.pair(on_device=samples.on_device())
    rows = rows_by_label(samples.report(files=files))
    place = "ethos-u55-128"
    weights = rows[f"{place} weights"]
    assert (weights.before, weights.after) == ("–", "80.0 kB")
    assert rows[f"{place} cycles"].after == "1.00 M"
    assert rows[f"{place} memory"].after == "40.0 kB"
    assert f"{place} cycles" not in rows_by_label(samples.report(files=samples.pair()))


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


def test_files_are_compared_with_their_own_kind():
    """Float and int8, before and after: int8 never with float."""
    rows = rows_by_label(samples.full_report())
    cells = {
        kind: [
            (rows[label].before, rows[label].after)
            for label in (f"Top-1, {kind} file", f"{kind} file", f"Latency p50, {kind}")
        ]
        for kind in ("float32", "int8")
    }
    assert cells["float32"] == [
        ("91.73 %", "89.35 %"),
        ("1.09 MB", "590 kB"),
        ("0.431 ms", "0.298 ms"),
    ]
    assert cells["int8"] == [("91.73 %", "89.35 %"), ("306 kB", "171 kB"), ("0.209 ms", "0.094 ms")]
    assert rows["int8 file"].change_in_words == "0.56x, smaller"
    assert rows["Latency p50, int8"].change_in_words == "0.45x [0.43, 0.47], faster"


def test_a_file_with_nothing_to_compare_with():
    failed = File(kind="int8", network="before", failed="it crashed.")
    report = samples.report(files=(failed, samples.file(latency_ratio=None, change=None)))
    rows = {row.label: row for row in file_rows(report, "int8")}
    assert (rows["int8 file"].before, rows["int8 file"].after) == ("–", "171 kB")
    assert rows["int8 file"].change_in_words == ""
    report = samples.report(files=(samples.file_before(), File(kind="int8", failed="it crashed.")))
    rows = {row.label: row for row in file_rows(report, "int8")}
    assert (rows["int8 file"].before, rows["int8 file"].after) == ("306 kB", "–")


@pytest.mark.parametrize(("passed", "kind"), [(True, "int8"), (None, "int8"), (False, "float32")])
def test_a_file_that_failed_is_not_the_one_to_ship(passed, kind):
    files = (
        samples.file("float32", file_bytes=590_000),
        samples.file("int8", passed=passed),
        samples.file_before("int8", file_bytes=10),
        samples.file("dynamic", path=None, failed="it crashed.", file_bytes=None, passed=None),
    )
    assert deployed_file(samples.report(files=files)).kind == kind


def test_a_file_without_a_runtime_here_is_shipped_where_there_is_no_other():
    packed, int8 = samples.file("fpq", file_bytes=10), samples.file("int8")
    assert deployed_file(samples.report(files=(packed, int8))).kind == "int8"
    assert deployed_file(samples.report(files=(packed,))).kind == "fpq"


def test_with_a_target_the_smallest_that_runs_there_is_shipped():
    device = OnDevice(device="tflm", sram_bytes=81_000)
    float32 = samples.file("float32", file_bytes=90)
    int8 = samples.file("int8", file_bytes=307, on_device=device)
    decoded = samples.file("tflm", file_bytes=150, on_device=device)
    packed = samples.file("fpq", file_bytes=120)
    files = (float32, int8, decoded, packed)
    assert deployed_file(samples.report(files=files)) is decoded
    assert deployed_file(samples.report(files=(float32, int8, packed))) is int8


def test_nothing_to_ship():
    assert deployed_file(samples.report()) is None

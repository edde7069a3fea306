import dataclasses

from tests.utils.report import samples
from tests.utils.report.plots_test import texts
from utils.report import ClassChange, Compared
from utils.report.trade_off import MAX_CLASSES, candidates_plot, class_plot, trade_off_plots


def test_every_file_has_a_point_by_size_and_by_time():
    report = samples.full_report()
    size, time, _ = (draw() for _, draw in trade_off_plots(report))
    assert "int8 after 89.35 % at 171" in size
    assert "int8 before 91.73 % at 306" in size
    assert "int8 after 89.35 % at 0.094" in time
    assert {"float32 before", "dynamic after", "int8 after"} <= set(texts(size))


def test_files_without_the_figure_are_left_out():
    files = samples.pair()
    untimed = tuple(dataclasses.replace(file, latency_ms_p50=None) for file in files)
    size, time = (draw() for _, draw in trade_off_plots(samples.report(files=untimed)))
    assert "int8 after" in size
    assert time == ""
    assert trade_off_plots(samples.report(files=files[:1]))[0][1]() == ""


def change(label, lost, gained):
    return ClassChange(
        label=label, num_samples=100, right_before=50, right_after=50, lost=lost, gained=gained
    )


def test_classes_that_changed():
    svg = class_plot([change(0, 0, 0), change(1, 3, 0), change(2, 0, 4)])
    assert "3 were right before and are wrong after, 4 the other way round, in 2 of 3" in svg
    assert {"class 1", "class 2"} <= set(texts(svg))
    assert "class 0" not in texts(svg)
    assert class_plot([change(0, 0, 0)]) == ""


def test_of_many_classes_those_that_changed_most():
    found = texts(class_plot([change(label, label, 1) for label in range(MAX_CLASSES + 5)]))
    assert "class 4" not in found
    assert f"class {MAX_CLASSES + 4}" in found


def test_candidates_by_accuracy_and_cost():
    search = samples.search()
    svg = candidates_plot(search, "one")
    assert "59 candidates of the ddpg search by accuracy on held-out images and flops" in svg
    assert {"flops", "accuracy, %", "tried, not tuned", "uniform, tuned", "found, tuned"} <= set(
        texts(svg)
    )
    unknown = tuple(dataclasses.replace(trial, cost={}) for trial in search.rollouts)
    assert candidates_plot(dataclasses.replace(search, rollouts=unknown), "one") == ""
    moved = dataclasses.replace(search.winner, cost={})
    assert "found, tuned" not in candidates_plot(dataclasses.replace(search, winner=moved), "one")


def test_what_other_ways_reach_is_shown_beside_the_winner():
    compared = (
        Compared(label="together", accuracy=0.9, drop=0.5, cost={"flops": 1e6}, kept=True),
        Compared(label="bits alone", accuracy=0.8, drop=10.5, cost={"flops": 1e6}),
        Compared(label="without a share", drop=1.0, cost={"flops": 1e6}),
    )
    svg = candidates_plot(dataclasses.replace(samples.search(), compared=compared), "one")
    assert {"together, kept", "bits alone"} <= set(texts(svg))
    assert "bits alone: 80.00 % at 1e+06." in svg
    assert "without a share" not in svg

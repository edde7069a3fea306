import json
import time

import numpy as np
import pytest

from benchmarks import Context, Row, SkipRow, worker


@pytest.fixture
def context(tmp_path):
    return Context(seed=7, work_dir=tmp_path)


def test_figures_targets_and_peer(context):
    def run(given):
        assert given is context
        time.sleep(0.01)
        return {
            "seconds": np.float32(0.5),
            "steps": np.int64(3),
            "parts": (1, 2),
            "peer": {"seconds": 1},
            "target": {"steps": ">= 1"},
        }

    result = worker.run_row(Row(name="r", run=run, target={"seconds": "<= 1"}), context)
    assert result["status"] == "ok"
    assert result["seconds"] >= 0.01
    figures = result["figures"]
    assert figures.pop("peak_memory_mib") > 1
    assert figures == {"seconds": 0.5, "steps": 3, "parts": [1, 2]}
    assert result["target"] == {"seconds": "<= 1", "steps": ">= 1"}
    assert result["peer"] == {"seconds": 1}
    json.dumps(result, allow_nan=False)


def test_the_peak_memory_can_have_a_target(context):
    row = Row(name="r", run=lambda _: {}, target={"peak_memory_mib": "<= 2048"})
    assert worker.run_row(row, context)["status"] == "ok"


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"x": float("nan")}, "ValueError: a figure is nan: it was not measured"),
        ({"x": object()}, "ValueError: a figure is a number, text"),
        ({"x": 1, "target": {"y": "<= 1"}}, "target for figures that the row did not return: y"),
        ({"x": 1, "peer": {"y": 1}}, "peer for figures that the row did not return: y"),
        ({"x": 1, "peer": 3}, "'peer' must map figures to values"),
        ({"x": 1, "target": {"x": "fast"}}, "a target is a comparison and a number"),
        (None, "TypeError"),
    ],
)
def test_what_a_row_must_not_return(context, outcome, message):
    result = worker.run_row(Row(name="r", run=lambda _: outcome), context)
    assert result["status"] == "failed"
    assert message in result["error"]


def test_a_row_that_raises_and_one_that_cannot_run(context):
    def fail(_):
        raise RuntimeError("out of luck")

    def skip(_):
        raise SkipRow("needs data")

    failed = worker.run_row(Row(name="r", run=fail), context)
    assert (failed["status"], failed["error"]) == ("failed", "RuntimeError: out of luck")
    skipped = worker.run_row(Row(name="r", run=skip), context)
    assert (skipped["status"], skipped["error"]) == ("skipped", "needs data")


def test_main_writes_the_outcome(tmp_path):
    module = tmp_path / "toy_bench.py"
    module.write_text(
        "from benchmarks import Row\n"
        "def run(context):\n    return {'seed': context.seed, 'dir': context.work_dir.name}\n"
        "ROWS = (Row(name='r', run=run),)\n"
    )
    outcome = tmp_path / "outcome.json"
    assert worker.main([str(module), "r", "3", str(tmp_path / "work"), str(outcome)]) == 0
    figures = json.loads(outcome.read_text())["figures"]
    assert (figures["seed"], figures["dir"]) == (3, "work")

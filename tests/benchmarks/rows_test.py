import logging

import pytest

from benchmarks import Context, Row, SkipRow, in_turns
from benchmarks.rows import parse_target


@pytest.mark.parametrize(
    ("text", "met", "missed"),
    [
        ("<= 56", 56, 56.1),
        (">= 0.9", 0.9, 0.89),
        ("== 0", 0, 1e-9),
        ("<1e-5", 9e-6, 1e-5),
        ("> -2", -1.9, -2),
    ],
)
def test_targets(text, met, missed):
    assert parse_target(text)(met)
    assert not parse_target(text)(missed)
    assert not parse_target(text)(float("nan"))


@pytest.mark.parametrize("text", ["56", "<= fast", "=< 3", "<= 3 s", ""])
def test_what_is_no_target(text):
    with pytest.raises(ValueError, match="a target is a comparison and a number"):
        parse_target(text)
    with pytest.raises(ValueError, match="a target is a comparison and a number"):
        Row(name="row", run=dict, target={"seconds": text})


@pytest.mark.parametrize("name", ["", "Row", "a row", "a/b", "-a"])
def test_row_names_are_simple(name):
    with pytest.raises(ValueError, match="a row's name is made of"):
        Row(name=name, run=dict)


def test_calls_are_timed_in_turns():
    calls = []
    seconds = in_turns(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, warm_up=1
    )
    assert calls == ["a", "b"] * 3
    assert [len(seconds[name]) for name in ("a", "b")] == [2, 2]
    assert min(seconds["a"]) >= 0


def test_no_rounds():
    with pytest.raises(ValueError, match=r"`rounds` must be at least 1\. Received: 0"):
        in_turns({}, rounds=0)


def test_data_folder(monkeypatch, tmp_path):
    context = Context(seed=0, work_dir=tmp_path)
    monkeypatch.delenv("FLOWPRESS_DATA", raising=False)
    with pytest.raises(SkipRow, match="set FLOWPRESS_DATA"):
        context.data()
    monkeypatch.setenv("FLOWPRESS_DATA", str(tmp_path))
    assert context.data() == tmp_path
    with pytest.raises(SkipRow, match=r"needs weights, cifar10 in FLOWPRESS_DATA="):
        context.data("weights", "cifar10")
    (tmp_path / "weights").mkdir()
    assert context.data("weights") == tmp_path


def test_log(caplog, tmp_path):
    with caplog.at_level(logging.INFO, "benchmarks"):
        Context(seed=0, work_dir=tmp_path).log("half way")
    assert "half way" in caplog.text

"""Where the states of several fits lie, at every moment at which a run can be killed."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import keras
import pytest

from utils.errors import InputError
from utils.training.parts import PARTS, PartStates
from utils.training.state import TrainingState, read_fingerprint, save_state


def _write(path: pathlib.Path, parts: Sequence[str]) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    state = TrainingState(
        step=0,
        num_steps=0,
        finished=True,
        fingerprint={PARTS: list(parts)},
        history=(),
        network=(),
        optimizer=(),
    )
    save_state(path, model, state)


def _parts(path: pathlib.Path) -> list[str]:
    fingerprint = read_fingerprint(path)
    assert fingerprint is not None
    return fingerprint[PARTS]


@pytest.fixture(name="path")
def _path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "model.keras"


def _run(path: pathlib.Path, names: Sequence[str]) -> None:
    """Begin parts one after another and save each, as `fit` does."""
    states = PartStates(path, resume=True)
    for name in names:
        place = states.begin(name)
        _write(place.path, place.parts)


def test_a_single_part_has_the_path_itself(path: pathlib.Path) -> None:
    states = PartStates(path, resume=True)
    assert states.first() is None
    assert states.begin("fine_tuning") == (path, ("fine_tuning",), True)
    assert not list(path.parent.iterdir())


def test_earlier_parts_lie_beside_the_latest(path: pathlib.Path) -> None:
    _run(path, ["a", "b_2/block-1", "c"])
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "model.a.keras",
        "model.b_2.block-1.keras",
        "model.keras",
    ]
    assert _parts(path) == ["a", "b_2/block-1", "c"]
    assert _parts(path.with_name("model.b_2.block-1.keras")) == ["a", "b_2/block-1"]


def test_a_killed_run_finds_each_part(path: pathlib.Path) -> None:
    _run(path, ["a", "b", "c"])
    states = PartStates(path, resume=True)
    assert states.first() == path.with_name("model.a.keras")
    assert states.of("b") == path.with_name("model.b.keras")
    assert (states.of("c"), states.of("d")) == (path, None)
    assert states.begin("a") == (path.with_name("model.a.keras"), ("a",), True)
    assert states.begin("b") == (path.with_name("model.b.keras"), ("a", "b"), True)
    assert states.begin("c") == (path, ("a", "b", "c"), True)
    assert _parts(path) == ["a", "b", "c"]
    assert states.begin("d") == (path, ("a", "b", "c", "d"), False)
    assert _parts(path.with_name("model.c.keras")) == ["a", "b", "c"]


def test_killed_before_the_first_save_of_a_part(path: pathlib.Path) -> None:
    _run(path, ["a"])
    states = PartStates(path, resume=True)
    states.begin("a")
    states.begin("b")  # puts `a` aside; nothing is saved
    again = PartStates(path, resume=True)
    assert again.first() == path
    assert again.begin("a") == (path, ("a",), True)
    assert again.begin("b") == (path, ("a", "b"), False)


def test_a_fresh_run_uses_nothing_of_an_older_one(path: pathlib.Path) -> None:
    _run(path, ["a", "b"])
    fresh = PartStates(path, resume=False)
    assert (fresh.first(), fresh.of("b")) == (None, None)
    place = fresh.begin("b")  # in an older run it was the second
    assert place == (path, ("b",), False)
    _write(*place[:2])
    assert PartStates(path, resume=True).begin("b") == (path, ("b",), True)


def test_a_worker_that_writes_nothing(path: pathlib.Path) -> None:
    _run(path, ["a"])
    states = PartStates(path, resume=True)
    states.begin("a", writes=False)
    states.begin("b", writes=False)
    assert [file.name for file in path.parent.iterdir()] == ["model.keras"]


def test_other_parts_are_refused(path: pathlib.Path) -> None:
    _run(path, ["a", "b"])
    states = PartStates(path, resume=True)
    states.begin("a")
    with pytest.raises(
        InputError, match=r"run of other parts: saved a, b; received a, x\. .*--resume=False"
    ):
        states.begin("x")


@pytest.mark.parametrize("name", ["", "a b", "../a", "a//b", "a.b", "/a"])
def test_names(path: pathlib.Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"`part` must be words of letters, digits, _ and -, sep"):
        PartStates(path, resume=True).begin(name)


def test_a_part_twice(path: pathlib.Path) -> None:
    _run(path, ["a"])
    states = PartStates(path, resume=True)
    states.begin("a")
    with pytest.raises(ValueError, match=r"'a' was trained before: .* such as 'stage_2'"):
        states.begin("a")

"""The state's file: round trip, damage, foreign files."""

from __future__ import annotations

import json
import pathlib
import zipfile

import keras
import numpy as np
import pytest

from tests.utils.training.conftest import network
from utils.errors import InputError
from utils.training.state import (
    TrainingState,
    assign_variables,
    check_fingerprint,
    read_state,
    read_variables,
    save_state,
)


def _state(model: keras.Model) -> TrainingState:
    return TrainingState(
        step=7,
        num_steps=20,
        finished=False,
        fingerprint={"seed": 1, "flags": [1, "a"]},
        history=({"epoch": 1, "loss": 0.1},),
        network=read_variables(model.variables),
        optimizer=(np.int64(7) * np.ones((), np.int64), np.arange(3.0)),
        metrics=(np.float32(0.1) * np.ones((), np.float32),),
    )


@pytest.fixture(name="path")
def _path(tmp_path: pathlib.Path) -> pathlib.Path:
    model = network()
    save_state(tmp_path / "state.keras", model, _state(model))
    return tmp_path / "state.keras"


def test_round_trip(path: pathlib.Path) -> None:
    state, expected = read_state(path), _state(network())
    assert state is not None
    for name in ("step", "num_steps", "finished", "fingerprint", "history"):
        assert getattr(state, name) == getattr(expected, name)
    for name in ("network", "optimizer", "metrics"):
        for a, b in zip(getattr(state, name), getattr(expected, name), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


def test_all_variables_are_there_with_the_dropout_seed(path: pathlib.Path) -> None:
    state = read_state(path)
    assert state is not None
    assert len(state.network) == len(network().weights) + 1


def test_no_file_and_no_state(tmp_path: pathlib.Path) -> None:
    assert read_state(tmp_path / "none.keras") is None
    network().save(tmp_path / "plain.keras")
    assert read_state(tmp_path / "plain.keras") is None


def test_damaged_file(path: pathlib.Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"state\.keras: is truncated or damaged at byte"):
        read_state(path)


def test_missing_array(path: pathlib.Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    del entries["flowpress/network/0002.npy"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match=r"lacks the array 'flowpress/network/0002\.npy'"):
        read_state(path)


def test_other_version(path: pathlib.Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(entries["flowpress/state.json"]) | {"version": 99}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (entries | {"flowpress/state.json": json.dumps(header)}).items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match=r"its state is of another version.*--resume=False"):
        read_state(path)


def test_assign_is_all_or_nothing() -> None:
    variables = [keras.Variable([1.0, 2.0], name="first"), keras.Variable([3.0], name="second")]
    with pytest.raises(InputError, match=r"'second' has the shape \(2,\) there and \(1,\) here"):
        assign_variables(variables, [np.zeros(2), np.zeros(2)], "state.keras")
    np.testing.assert_array_equal(variables[0].numpy(), [1.0, 2.0])


def test_bfloat16_survives(tmp_path: pathlib.Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, dtype="bfloat16")])
    values = read_variables(model.variables)
    assert values[0].dtype == np.float32
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, dtype="bfloat16")])
    assign_variables(other.variables, values, "state.keras")
    np.testing.assert_array_equal(read_variables(other.variables)[0], values[0])


def test_is_finite() -> None:
    state = _state(network())
    assert state.is_finite
    state.network[0][0] = np.nan
    assert not state.is_finite


def test_fingerprints() -> None:
    check_fingerprint("state.keras", {"a": 1}, {"a": 1})
    with pytest.raises(
        InputError, match=r"\(a: saved 1, received 2; b: saved None, received 3\).*--resume=False"
    ):
        check_fingerprint("state.keras", {"a": 1}, {"a": 2, "b": 3})

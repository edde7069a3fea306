"""The calibration table: written, edited, refused."""

import json
import pathlib

import keras
import pytest

from utils.errors import InputError
from utils.graph import Graph, Ref, from_keras
from utils.quantization.calibration_table import (
    CalibrationTable,
    digest,
    read_table,
    require,
    write_table,
)


def _graph(units: int = 3) -> Graph:
    inputs = keras.Input((4,), name="image")
    outputs = keras.layers.Dense(units, name="fc")(inputs)
    return from_keras(keras.Model(inputs, outputs, name="net"))


@pytest.fixture
def written(tmp_path: pathlib.Path) -> tuple[pathlib.Path, CalibrationTable]:
    table = CalibrationTable(
        network=digest(_graph()),
        method="mse",
        equalized=False,
        num_samples=7,
        ranges={Ref("image"): (-1.5, 2.0), Ref("fc"): (0.0, 1e-3)},
    )
    path = tmp_path / "table.json"
    write_table(table, path)
    return path, table


def test_it_is_read_as_it_was_written(written: tuple[pathlib.Path, CalibrationTable]) -> None:
    path, table = written
    assert read_table(path, _graph()) == table
    require(table, dict.fromkeys(table.ranges), "it")


def test_new_weights_keep_it_another_shape_does_not(
    written: tuple[pathlib.Path, CalibrationTable],
) -> None:
    path, _ = written
    assert read_table(path, _graph()).num_samples == 7  # other random weights
    with pytest.raises(InputError, match="another network's"):
        read_table(path, _graph(units=4))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "table", "is 'table'"),
        ("version", 2, "must be 1"),
        ("network", "00", "another network's"),
        ("method", 3, "must be a text"),
        ("equalized", "no", "must be true or false"),
        ("num_samples", -1, r"must be in \[0"),
        ("ranges", [], "must be a mapping"),
        ("ranges", {"conv": [0, 1]}, "unknown key 'conv'"),
        ("ranges", {"fc": [0, float("nan")]}, "NaN is no JSON number"),
        ("ranges", {"fc": [0, 10**400]}, "a number of 401 digits"),
        ("ranges", {"fc": [0, True]}, "two finite numbers"),
        ("ranges", {"fc": [1]}, "two finite numbers"),
        ("ranges", {"fc": [1, 2]}, "must hold 0"),
        ("more", 1, "unknown key 'more'"),
    ],
)
def test_wrong_tables_are_refused(
    written: tuple[pathlib.Path, CalibrationTable], key: str, value: object, message: str
) -> None:
    path, _ = written
    content = json.loads(path.read_text())
    content[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_table(path, _graph())


def test_a_missing_range_is_named(written: tuple[pathlib.Path, CalibrationTable]) -> None:
    _, table = written
    with pytest.raises(InputError, match=r"lacks the range of relu:1"):
        require(table, {Ref("fc"): None, Ref("relu", 1): None}, "the table")

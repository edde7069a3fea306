"""Curves for TensorBoard."""

import pathlib

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from utils.summaries import NUM_POINTS, ScalarWriter, curve_folder, steps_between


def points(folder):
    """Read what was written: (name, step, value)."""
    (file,) = pathlib.Path(folder).iterdir()
    return [
        (value.tag, event.step, round(float(tf.make_ndarray(value.tensor)), 4))
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]


@given(st.integers(1, 10**7))
def test_about_200_points_whatever_the_length(num_steps):
    number = num_steps // steps_between(num_steps, None)
    assert number == num_steps if num_steps < NUM_POINTS else 133 <= number <= 300
    assert steps_between(num_steps, 7) == 7


@given(st.text(max_size=30))
def test_folders_have_plain_names_below_the_given_one(label):
    folder = curve_folder("logs", label)
    parts = folder.parts[1:]
    assert folder.parts[0] == "logs"
    assert ".." not in parts
    assert not set("".join(parts)) & set(':<>"|?*\\/ ')


def test_a_point_of_each_curve_and_no_file_without_any(tmp_path):
    writer = ScalarWriter(tmp_path / "a")
    writer.write(0, {"reward": None})
    assert not (tmp_path / "a").exists()
    writer.write(3, {"reward": 0.5, "best": None})
    writer.write(4, {"reward": 0.25, "best": 0.5})
    writer.close()
    assert points(tmp_path / "a") == [("reward", 3, 0.5), ("reward", 4, 0.25), ("best", 4, 0.5)]


@pytest.mark.parametrize("label", ["chn-pruned-rmt:uniform", "a: b/c d"])
def test_labels_of_fits(label):
    expected = {"chn-pruned-rmt:uniform": "chn-pruned-rmt_uniform", "a: b/c d": "a/b/c_d"}
    assert curve_folder("logs", label).as_posix() == f"logs/{expected[label]}"


def test_curves_that_cannot_be_written_are_no_reason_to_stop(tmp_path, capsys):
    (tmp_path / "file").touch()
    writer = ScalarWriter(tmp_path / "file" / "train")
    for step in range(3):
        writer.write(step, {"loss": 0.5})
    writer.close()
    assert capsys.readouterr().err.count("curves cannot be written") == 1

"""A file with two functions."""

import pytest

from datasets.user_data.parts import GivenData, UserData
from datasets.user_data.python_file import read_python_file
from utils.errors import InputError

ARRAYS = """
import numpy as np
def train_data():
    return np.zeros((6, 4, 4)), np.arange(6) % 2
def test_data():
    return np.ones((3, 4, 4)), np.arange(3) % 2
"""


def write(folder, text):
    path = folder / "my_data.py"
    path.write_text(text)
    return path


def test_arrays_become_samples_that_are_taken_as_they_are(tmp_path):
    data = read_python_file(write(tmp_path, ARRAYS))
    assert isinstance(data, UserData)
    assert (len(data.train), len(data.test), data.train.inputs.white) == (6, 3, None)
    assert data.name == "my_data"


def test_batches_stay_what_they_are(tmp_path):
    text = "def train_data(): return [1]\ndef test_data(): return [2]\n"
    data = read_python_file(write(tmp_path, text))
    assert isinstance(data, GivenData)
    assert (data.train, data.test) == ([1], [2])


@pytest.mark.parametrize(
    ("change", "message"),
    [(("def test_data", "def tests"), "Missing: test_data"),
     (("np.zeros((6,", "np.zeros((5,"), "as many labels as inputs"),
     (("np.ones((3, 4, 4))", "np.full((3, 4), np.nan)"), "finite numbers"),
     (("np.ones((3, 4, 4))", "1 / 0"), "ZeroDivisionError")],
)  # fmt: skip
def test_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read_python_file(write(tmp_path, ARRAYS.replace(*change)))

"""The process around TensorFlow Lite Micro: what it reads. (Whole files: `tflm_test.py`.)"""

import io

import numpy as np
import pytest

from utils.export.tflm_child import _set

ITEM = {"shape": np.array([1, 2, 3]), "dtype": np.dtype(np.int16)}


class Interpreter:
    """Stands for TensorFlow Lite Micro's."""

    def __init__(self):
        self.given = {}

    def set_input(self, array, number):
        self.given[number] = array


def test_inputs_are_cut_off_the_stream_one_by_one():
    arrays = np.arange(12, dtype=np.int16).reshape(2, 1, 2, 3)
    interpreter, stream = Interpreter(), io.BytesIO(arrays.tobytes())
    for number, array in enumerate(arrays):
        assert _set(interpreter, number, ITEM, stream)
        np.testing.assert_array_equal(interpreter.given[number], array)


@pytest.mark.parametrize("length", [0, 11])
def test_the_end_of_the_stream_ends_it(length):
    interpreter = Interpreter()
    assert not _set(interpreter, 0, ITEM, io.BytesIO(bytes(length)))
    assert interpreter.given == {}

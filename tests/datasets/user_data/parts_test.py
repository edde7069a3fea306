"""Parts of samples: arrays, divisions, what stands for white."""

import numpy as np
import pytest

from datasets.user_data.parts import Part, Stored, white_of, with_test_part
from utils.errors import InputError


def part(labels, count=20):
    return Part(inputs=Stored(np.arange(count)[:, None], None), labels=np.asarray(labels))


def test_divides_by_class_and_keeps_inputs_with_their_labels():
    whole = part(np.arange(20) % 2)
    first, second = whole.divide(0.2, seed=3)
    assert (len(first), len(second)) == (16, 4)
    assert sorted(second.labels) == [0, 0, 1, 1]
    for half in (first, second):
        np.testing.assert_array_equal(half.inputs.array[:, 0] % 2, half.labels)
    assert set(first.inputs.array[:, 0]) | set(second.inputs.array[:, 0]) == set(range(20))


def test_divides_values_by_number():
    whole = part(np.linspace(0, 1, 20, dtype=np.float32))
    first, second = whole.divide(0.25, seed=0)
    assert (len(first), len(second)) == (15, 5)
    again = whole.divide(0.25, seed=0)[1]
    np.testing.assert_array_equal(second.labels, again.labels)


def test_a_test_part_is_held_out_and_told():
    data = with_test_part("photos", part(np.arange(20) % 2), ("cat", "dog"))
    assert (len(data.train), len(data.test)) == (16, 4)
    assert "4 of 20 samples are held out" in data.notes[0]
    with pytest.raises(InputError, match="too few"):
        with_test_part("photos", part([0, 1], count=2))


@pytest.mark.parametrize(
    ("greatest", "dtype", "expected"),
    [(255, np.uint8, 255.0), (100, np.uint8, 255.0), (16, np.uint8, 16.0), (1, np.uint8, 1.0),
     (0.7, np.float32, 1.0), (200.0, np.float32, 255.0), (300, np.int32, None)],
)  # fmt: skip
def test_white(greatest, dtype, expected):
    assert white_of([np.full((2, 4, 4), greatest, dtype)]) == expected


def test_rows_of_features_have_no_white():
    assert white_of([np.ones((2, 9), np.uint8)]) is None

"""Forms of labels."""

import numpy as np
import pytest

from datasets.user_data.labels import as_labels, of_names
from utils.errors import InputError


def test_whole_numbers_are_classes_whatever_their_type():
    for values in (np.array([2, 0, 1], np.uint8), np.array([[2.0], [0.0], [1.0]])):
        found = as_labels(values, "y")
        assert found.dtype == np.int64
        assert found.tolist() == [2, 0, 1]


def test_one_hot_rows_are_classes_others_are_values():
    assert as_labels(np.eye(4)[[3, 1]], "y").tolist() == [3, 1]
    assert as_labels(np.array([[1.0, 1.0], [0.0, 1.0]]), "y").dtype == np.float32
    assert as_labels(np.array([[0.2, 0.8]]), "y").shape == (1, 2)


@pytest.mark.parametrize("values", [np.array(["a"]), np.array([np.nan, 1.0])])
def test_refused(values):
    with pytest.raises(InputError, match="where"):
        as_labels(values, "where")


def test_names_are_numbered_over_all_parts():
    numbers, classes = of_names([["b", "c"], ["a"]])
    assert classes == ("a", "b", "c")
    assert [part.tolist() for part in numbers] == [[1, 2], [0]]

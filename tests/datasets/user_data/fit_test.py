"""Shapes of samples and of a network's input."""

import pytest

from datasets.user_data.fit import fitting_shape
from utils.errors import InputError


@pytest.mark.parametrize(
    ("given", "wanted"),
    [((28, 28), (28, 28, 1)), ((28, 28, 1), (28, 28)), ((28, 28, 1), (784,)), ((784,), (28, 28)),
     ((5,), (5,)), (None, (7, 9, 3)), ((1, 28, 28), (28, 28, 1)), ((), (1,))],
)  # fmt: skip
def test_fits(given, wanted):
    assert fitting_shape(given, wanted, "d") == wanted


@pytest.mark.parametrize(
    ("given", "wanted", "message"),
    [((3, 32, 32), (32, 32, 3), "channels come first"), ((5,), (6,), "5 features"),
     ((28, 28, 1), (32, 32, 1), "Resize"), ((2, 8), (4, 4), "takes"), (None, (10,), "holds images"),
     (None, (8, 8, 2), "holds images")],
)  # fmt: skip
def test_does_not_fit(given, wanted, message):
    with pytest.raises(InputError, match=message):
        fitting_shape(given, wanted, "d")

"""What is written of reductions and products, and what is refused; values: `ops_test.py`."""

import keras
import pytest
from keras import ops

from tests.utils.reconstructors.sources import written
from utils.errors import InputError


def lines_of(function, shape=(4, 6, 8)):
    inputs = keras.Input(shape, name="image")
    return written(keras.Model(inputs, function(inputs)))[0]


@pytest.mark.parametrize("axis", [1, 3, (1, 2)])
def test_reductions_need_no_transposition(axis):
    lines = lines_of(lambda x: ops.mean(x, axis=axis, keepdims=True))
    assert not any("permute" in line for line in lines)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: ops.max(x, axis=1, initial=0.0), "starts from `initial`"),
        (lambda x: ops.argmax(x), "has no `axis`"),
    ],
)
def test_what_is_refused(function, reason):
    with pytest.raises(InputError, match=reason):
        lines_of(function)

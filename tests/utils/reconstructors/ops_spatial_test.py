import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from tests.utils.reconstructors.sources import written
from utils.errors import InputError
from utils.reconstructors.ops_spatial import bins, keras_widths, repeated
from utils.reconstructors.rebuilding import RefusedError


@given(st.integers(1, 30), st.integers(1, 8))
def test_bins_cover_every_position(size, count):
    found = bins(size, min(count, size))
    assert found[0][0] == 0 and found[-1][1] == size
    assert all(b[0] <= a[1] and a[0] < a[1] for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "wrap"])
def test_padding_repeats_positions(mode):
    values = np.array([3.0, 5.0, 7.0, 9.0])
    picked = values[repeated(4, (2, 3), mode)]
    assert picked.tolist() == np.pad(values, (2, 3), mode=mode).tolist()


def test_other_modes_and_open_sizes_are_refused():
    with pytest.raises(RefusedError, match="pads by 'odd'"):
        repeated(4, (1, 1), "odd")
    with pytest.raises(RefusedError, match="open size"):
        repeated(None, (1, 1), "reflect")
    assert keras_widths([(1, 2)], 2) == [(1, 2), (1, 2)]


def test_what_frameworks_resize_differently_is_refused():
    inputs = keras.Input((4, 4, 3))
    with pytest.raises(InputError, match="interpolates by 'bicubic'"):
        written(keras.Model(inputs, layers.Resizing(8, 8, interpolation="bicubic")(inputs)))


def test_even_pools_are_padded_behind():
    inputs = keras.Input((5, 5, 3))
    x = layers.MaxPooling2D(2, padding="same")(inputs)
    lines, _, _ = written(keras.Model(inputs, x))
    assert "F.pad(" in lines[0] and "(0, 1, 0, 1), value=float('-inf')" in lines[0]
    lines, _, _ = written(keras.Model(inputs, layers.MaxPooling2D(3, 2, padding="same")(inputs)))
    assert lines[0].endswith("3, 2, padding=1)")

import keras
import numpy as np
import pytest

from utils.frontends import layout as axes
from utils.frontends.making import Making, resolved
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

NODE = SourceNode("a/b", "op", (), ("y",))


def image(making, shape=(None, 4, 5, 6)):
    """A value [batch, 6, 4, 5] of a channels-first source."""
    return making.result(keras.Input(batch_shape=shape), (0, 2, 3, 1), sizes={2: 64, 3: 64})


def run(value, tensor, x):
    return np.asarray(keras.Model(value.tensor, tensor)(x))


def test_names_are_valid_and_unique():
    making = Making(None)
    assert [making.name(NODE), making.name(NODE), making.name(NODE, "pad")] == [
        "a_b", "a_b_1", "a_b_pad",
    ]  # fmt: skip


def test_nothing_moves_where_nothing_must():
    making = Making(None)
    value = image(making)
    assert making.channels_last(NODE, value)[0] is value.tensor
    assert making.in_order(NODE, value)[0] is value.tensor
    flat = making.reshape(NODE, value, (axes.BATCH_SIZE, 120))
    assert flat.tensor is value.tensor
    assert making.with_last(NODE, flat, 1)[0].shape == (None, 120)


def test_values_are_put_in_the_sources_order():
    making = Making(None)
    value = image(making)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
    source = x.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(run(value, making.whole(NODE, value).tensor, x), source)
    across = making.reshape(NODE, value, (axes.BATCH_SIZE, 8, 15))  # cuts through the atoms
    np.testing.assert_array_equal(run(value, across.tensor, x), source.reshape(2, 8, 15))
    split = making.reshape(NODE, value, (axes.BATCH_SIZE, 2, 3, 4, 5))
    swapped = making.reshape(
        NODE, making.transpose(split, (0, 2, 1, 3, 4)), (axes.BATCH_SIZE, 6, 4, 5)
    )
    tensor, _ = making.channels_last(NODE, swapped)
    wanted = source.reshape(2, 2, 3, 4, 5).swapaxes(1, 2).reshape(2, 6, 4, 5)
    np.testing.assert_array_equal(run(value, tensor, x), wanted.transpose(0, 2, 3, 1))


def test_open_sizes_are_asked_for_where_two_would_be_joined():
    making = Making(None)
    value = image(making, (None, None, None, 6))
    with pytest.raises(NotConvertible, match="--input_shape"):
        making.reshape(NODE, value, (axes.BATCH_SIZE, 12, -1))
    turned = making.transpose(value, (0, 3, 2, 1))
    with pytest.raises(NotConvertible, match="--input_shape"):
        making.in_order(NODE, making.reshape(NODE, turned, (-1, 64, 6)), (1, 0, 2))


def test_the_batch_must_not_be_mixed():
    making = Making(1)
    value = making.result(keras.Input(batch_shape=(None, 6)), (0, 1))
    with pytest.raises(NotConvertible, match="mixes the batch"):
        making.reshape(NODE, making.transpose(value, (1, 0)), (3, 2))


def test_an_unknown_size_needs_a_stand_in():
    with pytest.raises(NotConvertible, match="size that is open"):
        Making(None).result(keras.Input(batch_shape=(None, None)), (0, 1))
    assert isinstance(Making(None).result(keras.Input((3,)), (0, 1)), Value)


def test_sizes_of_a_reshape():
    assert resolved((2, 6), (3, -1)) == (3, 4)
    for target in ((5, -1), (13,), (-1, -1), (-2, -6)):
        with pytest.raises(NotConvertible, match="cannot reshape"):
            resolved((2, 6), target)

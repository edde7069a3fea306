"""The layers alone: grids, moving ranges, gradients, files."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from utils.quantization.fake_quant import FakeQuant, FakeQuantKernel, on_grid

ends = st.floats(-100.0, 100.0, width=32)


def layer_with(least: float, greatest: float, **settings: object) -> FakeQuant:
    layer = FakeQuant(**settings)
    layer.build((None, 3))
    layer.least.assign(least)
    layer.greatest.assign(greatest)
    return layer


@given(ends, ends, st.integers(2, 8))
def test_ranges_on_the_grid_hold_zero_and_what_they_held(a: float, b: float, bits: int) -> None:
    least, greatest = on_grid(min(a, b), max(a, b), bits)
    step = (greatest - least) / (2**bits - 1)
    assert least <= min(a, b, 0.0) + 1e-4 * step
    assert greatest >= max(a, b, 0.0) - 1e-4 * step
    assert abs(least / step - round(least / step)) < 1e-6


def test_values_lie_on_the_grid_of_the_range() -> None:
    layer = layer_with(-1.0, 2.0, bits=2)
    values = np.array([[-9.0, -0.6, -0.4], [0.4, 1.6, 9.0]], np.float32)
    np.testing.assert_allclose(layer(values), [[-1, -1, 0], [0, 2, 2]], atol=1e-6)
    np.testing.assert_array_equal(layer_with(0.0, 1.0, bits=32)(values), values)


def test_ranges_follow_the_batches_in_training_only() -> None:
    layer = layer_with(-1.0, 1.0, update="moving_average", decay=0.5)
    values = np.array([[0.5, 3.0, 2.0]], np.float32)
    layer(values, training=False)
    assert (float(layer.least), float(layer.greatest)) == (-1.0, 1.0)
    layer(values, training=True)
    assert (float(layer.least), float(layer.greatest)) == (-0.5, 2.0)


def test_gradients_pass_inside_and_reach_learned_ends() -> None:
    layer = layer_with(-1.0, 1.0, update="learned")
    assert len(layer.trainable_weights) == 2 and not FakeQuant().trainable_weights
    values = tf.constant([[-2.0, 0.3, 5.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(layer(values))
    own, least, greatest = tape.gradient(total, [values, layer.least.value, layer.greatest.value])
    np.testing.assert_array_equal(own, [[0.0, 1.0, 0.0]])
    assert (float(least), float(greatest)) == (1.0, 1.0)


def test_unknown_updates_and_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="`update` must be"):
        FakeQuant(update="often")
    with pytest.raises(ValueError, match=r"`axes` must be \(\), \(-1,\) or \(-2, -1\)"):
        FakeQuantKernel(layers.Dense(2), axes=(0,))


@pytest.mark.parametrize(
    ("inner", "axes"),
    [
        (lambda: layers.Conv2D(3, 2, activation="relu"), (-1,)),
        (lambda: layers.DepthwiseConv2D(2, depth_multiplier=2), (-2, -1)),
        (lambda: layers.Dense(3), ()),
        (lambda: layers.Conv2DTranspose(3, 2, strides=2), ()),
    ],
)
@pytest.mark.parametrize("bits", [8, 4])
def test_kernels_are_rounded_by_channel_and_nothing_else_changes(
    inner, axes, bits, tmp_path: pathlib.Path
) -> None:
    plain = inner()
    inputs = keras.Input((4, 4, 2))
    wrapped = FakeQuantKernel(type(plain).from_config(plain.get_config()), bits=bits, axes=axes)
    model = keras.Model(inputs, wrapped(inputs))
    batch = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)
    plain(batch)
    kernel = np.asarray(wrapped.layer.kernel)
    rest = tuple(axis for axis in range(-kernel.ndim, 0) if axis not in axes)
    limit = np.abs(kernel).max(axis=rest, keepdims=True)
    wrapped.limit.assign(limit.reshape(wrapped.limit.shape))
    levels = 2 ** (bits - 1) - 1
    rounded = np.clip(np.round(kernel / limit * levels), -levels, levels) * limit / levels
    plain.set_weights([rounded, *wrapped.layer.get_weights()[1:]])
    np.testing.assert_allclose(wrapped(batch), plain(batch), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(wrapped.layer.kernel, kernel)  # the variable stays in float
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(copy(batch), model(batch))

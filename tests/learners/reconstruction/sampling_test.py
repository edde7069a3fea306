"""Rows against Keras' own layers; moments against the rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from learners.reconstruction.sampling import BranchTarget, Sampled, Sampler, rows
from tests.learners.conftest import statistics_of
from tests.utils.several import run_workers
from utils.graph import from_keras, ops
from utils.graph.row import Window

MAPS = np.random.default_rng(0).normal(size=(3, 7, 6, 2)).astype(np.float32)


def every_position(height, width, batch):
    """Positions that hit each output once, row by row."""
    down, across = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    places = np.stack([(down + 0.5) / height, (across + 0.5) / width], axis=-1)
    return np.tile(places.reshape(1, -1, 2), (batch, 1, 1)).astype(np.float32)


def described(layer, shape=MAPS.shape[1:]):
    inputs = keras.Input(shape)
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    node = graph.nodes[-1]
    window = ops.find(graph, node).window
    return None if window is None else window(node.attrs)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("size", "strides", "dilation"),
    [(1, 1, 1), (3, 1, 1), (3, 2, 1), ((3, 2), 1, 1), (2, (2, 3), 1), (3, 1, 2), ((1, 5), 1, 1)],
)
def test_rows_times_kernel_are_the_convolution(size, strides, dilation, padding):
    layer = layers.Conv2D(
        4, size, strides=strides, dilation_rate=dilation, padding=padding, use_bias=False
    )
    wanted = np.asarray(layer(MAPS))
    reading = described(layer)
    positions = every_position(*wanted.shape[1:3], len(MAPS))
    seen = rows(reading, tf.constant(MAPS), tf.constant(positions))
    kernel = np.asarray(layer.kernel)
    assert reading.num_positions == kernel.shape[0] * kernel.shape[1]
    np.testing.assert_allclose(
        seen.numpy() @ kernel.reshape(-1, 4), wanted.reshape(-1, 4), atol=1e-5
    )


def test_the_last_position_is_never_passed():
    reading = Window((3, 3), same=True)
    positions = np.full((3, 1, 2), np.nextafter(np.float32(1), np.float32(0)), np.float32)
    seen = rows(reading, tf.constant(MAPS), tf.constant(positions)).numpy().reshape(3, 3, 3, 2)
    np.testing.assert_array_equal(seen[:, :2, :2], MAPS[:, -2:, -2:])
    assert not seen[:, 2].any()


def test_dense_reads_vectors_and_the_last_axis_of_maps():
    reading = described(layers.Dense(4))
    assert reading == Window()
    vectors = tf.constant(MAPS[:, 0, 0])
    assert rows(reading, vectors, tf.zeros((3, 5, 2))) is vectors
    sequence = tf.constant(MAPS.reshape(3, 42, 2))
    seen = rows(reading, sequence, tf.constant(every_position(1, 42, 3)))
    np.testing.assert_array_equal(seen, MAPS.reshape(-1, 2))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, groups=2),
        layers.DepthwiseConv2D(3),
        layers.Conv2DTranspose(4, 3),
        layers.SeparableConv2D(4, 3),
        layers.ReLU(),
    ],
)
def test_what_cannot_be_sampled(layer):
    assert described(layer) is None


def sampler(seed=0, batch=4, positions=6):
    images = np.random.default_rng(1).normal(size=(10, 7, 6, 2)).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(batch)
    return Sampler(dataset, num_images=10, num_positions=positions, seed=seed)


def identity():
    inputs = keras.Input((7, 6, 2))
    return keras.Model([inputs], [layers.Identity()(inputs)])


KERNEL = np.random.default_rng(2).normal(size=(18, 3)).astype(np.float32)
ITEM = Sampled(key=5, window=Window((3, 3), same=True), kernel=KERNEL)


def test_statistics_are_those_of_the_targets_rows():
    """Rows of both passes come from the same positions, so `Y = X W` is found again exactly."""
    one = sampler()
    targets = one.targets([ITEM], identity())[0]
    assert [part.shape for part in targets] == [(24, 3), (24, 3), (12, 3)]
    stats = one.statistics(ITEM, lambda maps: [maps], one.batches, targets)
    assert stats.count == 60
    np.testing.assert_allclose(
        stats.cross[:-1], stats.moment[:-1, :-1] @ KERNEL, rtol=1e-4, atol=1e-3
    )
    y = np.concatenate(targets)
    np.testing.assert_allclose(stats.cross[-1], y.sum(0), atol=1e-4)
    np.testing.assert_allclose(stats.target_squares, np.sum(y**2, axis=0), rtol=1e-5)


def test_every_position_taken_gives_the_moments_of_all_rows():
    image = MAPS[:1, :1, :1]  # one pixel: every random position is that one
    single = Sampler(tf.data.Dataset.from_tensors(image), num_images=1, num_positions=4, seed=0)
    item = Sampled(key=0, window=Window(), kernel=KERNEL[:2])
    inputs = keras.Input((1, 1, 2))
    model = keras.Model([inputs], [layers.Identity()(inputs)])
    targets = single.targets([item], model)[0]
    stats = single.statistics(item, lambda maps: [maps], single.batches, targets)
    x = np.tile(image.reshape(1, 2), (4, 1)).astype(np.float64)
    expected = statistics_of(x, x @ KERNEL[:2])
    np.testing.assert_allclose(stats.moment, expected.moment, rtol=1e-5)
    np.testing.assert_allclose(stats.cross, expected.cross, rtol=1e-5)


def test_positions_are_a_function_of_seed_layer_and_batch():
    other = Sampled(key=6, window=ITEM.window, kernel=KERNEL)
    first, second = sampler().targets([ITEM, other], identity_twice())
    again = sampler().targets([other], identity())[0]
    elsewhere = sampler(seed=1).targets([ITEM], identity())[0]
    np.testing.assert_array_equal(second[0], again[0])
    assert not np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], elsewhere[0])


def identity_twice():
    inputs = keras.Input((7, 6, 2))
    return keras.Model([inputs], [layers.Identity()(inputs), layers.Identity()(inputs)])


def test_branch_target_makes_up_for_the_shortcut():
    """With sum = 2 (output - 1) + 3 + shortcut, the wanted output is (sum - 3 - shortcut)/2 + 1."""
    scale, mean, beta = np.array([2.0, 1.0, 1e-9]), np.array([1.0, 0.0, 0.0]), np.array([3.0, 0, 0])
    inverse = np.array([0.5, 1.0, 0.0], np.float32)
    branch = BranchTarget(inverse, (mean - beta * inverse).astype(np.float32))
    item = Sampled(key=5, window=ITEM.window, kernel=KERNEL, branch=branch)
    inputs = keras.Input((7, 6, 2))
    output = layers.Conv2D(3, 3, padding="same", use_bias=False, name="conv")(inputs)
    shortcut = keras.ops.concatenate([inputs, inputs[..., :1]], axis=-1)
    total = (output - mean.astype(np.float32)) * scale.astype(np.float32) + beta.astype(np.float32)
    model = keras.Model([inputs], [inputs, total + shortcut])
    model.get_layer("conv").kernel.assign(KERNEL.reshape(3, 3, 2, 3))
    one = sampler()
    targets = one.targets([item], model)[0]

    def now(maps):  # the shortcut has lost its first channel meanwhile
        changed = tf.concat([0 * maps[..., :1], maps[..., 1:], maps[..., :1]], axis=-1)
        return [maps, changed]

    stats = one.statistics(item, now, one.batches, targets)
    plain = Sampled(key=5, window=ITEM.window, kernel=KERNEL)
    own = one.statistics(plain, lambda maps: [maps], one.batches, one.targets([plain], model)[0])
    # Outputs 1 and 2 have the whole shortcut still: their targets are their own outputs.
    np.testing.assert_allclose(stats.cross[:, 1], own.cross[:, 1], rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(stats.cross[:, 2], own.cross[:, 2], rtol=1e-4, atol=1e-3)
    # Output 0 must give half of what its shortcut, the first channel, no longer does.
    centre = np.zeros(18)
    centre[8] = 0.5  # kernel position 4 of 9, channel 0
    wanted = own.cross[:, 0] + own.moment[:, :-1] @ centre
    np.testing.assert_allclose(stats.cross[:, 0], wanted, rtol=1e-3, atol=1e-2)


def test_workers_that_share_the_images_have_the_moments_of_one(monkeypatch):
    """And hold the same rows, in the same order; the positions do not depend on who samples."""
    random = np.random.default_rng(2)
    batches = [random.normal(size=(size, 6, 6, 2)).astype(np.float32) for size in (4, 4, 4, 4, 3)]
    item = Sampled(0, Window((3, 3)), random.normal(size=(18, 5)).astype(np.float32))
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, layers.Identity()(inputs))

    def sampled(_=None):
        sampler = Sampler(batches, num_images=19, num_positions=3, seed=4)
        (targets,) = sampler.targets([item], model)
        part = sampler.part.batches
        moments = sampler.statistics(item, lambda images: [images], part, targets)
        held = sampler.samples(item, lambda images: [images], part, targets, max_bytes=4 * 18 * 27)
        (own,) = sampler.own_statistics([item], model)
        return [moments.moment, moments.cross, moments.target_squares, own.moment, held.rows]

    expected = sampled()
    assert len(expected[-1]) == 24  # two batches fit, with 12 rows each
    for found in run_workers(monkeypatch, 2, sampled):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)

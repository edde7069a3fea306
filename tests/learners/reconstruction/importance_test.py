import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.reconstruction.importance import FLOOR, importance
from learners.reconstruction.sampling import Sampler
from tests.learners import networks
from utils.graph import Ref, from_keras, to_keras_with_tensors
from utils.shards import shard


def test_squares_of_the_jacobian_decide():
    """Outputs of a linear network: the Jacobian is known."""
    inputs = keras.Input((3,))
    gate = keras.layers.Dense(2, use_bias=False, name="a")(inputs)
    outputs = keras.layers.Dense(40, use_bias=False, name="b")(gate)
    model = keras.Model(inputs, outputs)
    kernel = np.zeros((2, 40), np.float32)
    kernel[0], kernel[1] = np.random.default_rng(0).normal(size=(2, 40)) * [[1.0], [3.0]]
    model.get_layer("b").kernel.assign(kernel)
    part = keras.Model(inputs, [gate, outputs])
    batches = [np.ones((64, 3), np.float32), np.ones((36, 3), np.float32)]
    found = importance(part, {"a": lambda maps, images, number: maps}, shard(batches), seed=0)["a"]
    centred = kernel - kernel.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.outputs, np.linalg.norm(centred, axis=1), rtol=0.2)
    assert [part.shape for part in found.rows] == [(64,), (36,)]
    together = np.concatenate(found.rows)
    assert together.mean() == pytest.approx(1.0, rel=1e-4) and together.min() >= FLOOR


def test_rows_that_nothing_depends_on_count_least():
    """Half the images have a dead path behind the layer."""
    inputs = keras.Input((2,))
    x = keras.layers.Dense(4, use_bias=False, kernel_initializer="ones", name="a")(inputs)
    outputs = keras.layers.Dense(3, name="b")(keras.layers.ReLU()(x))
    part = keras.Model(inputs, [x, outputs])
    images = np.array([[1.0, 1.0], [-1.0, -1.0]] * 8, np.float32)
    found = importance(part, {"a": lambda maps, images, number: maps}, shard([images]), seed=0)["a"]
    np.testing.assert_allclose(found.rows[0][1::2], FLOOR)
    assert found.rows[0][::2].mean() > 1.0


def test_a_layer_that_decides_nothing_has_equal_rows():
    inputs = keras.Input((2,))
    x = keras.layers.Dense(4, name="a")(inputs)
    outputs = keras.layers.Dense(3, kernel_initializer="zeros", name="b")(x)
    part = keras.Model(inputs, [x, outputs])
    images = np.ones((5, 2), np.float32)
    found = importance(part, {"a": lambda maps, images, number: maps}, shard([images]), seed=0)["a"]
    np.testing.assert_array_equal(found.rows[0], np.ones(5))
    np.testing.assert_array_equal(found.outputs, np.ones(4))


def test_half_precision_and_whole_numbers_as_outputs():
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4, dtype="mixed_float16", name="a")(inputs)
    half = keras.layers.Dense(3, dtype="mixed_float16", name="b")(x)
    whole = keras.ops.argmax(half, axis=-1)
    part = keras.Model(inputs, [x, half, whole])
    images = np.ones((5, 3), np.float32)
    found = importance(part, {"a": lambda maps, images, number: maps}, shard([images]), seed=0)["a"]
    assert found.rows[0].dtype == np.float32 and (found.outputs > 0).all()


def test_places_are_those_that_are_sampled():
    model = networks.residual()
    graph = from_keras(model)
    twin, tensors = to_keras_with_tensors(graph)
    images = networks.images()
    sampler = Sampler([images], num_images=48, num_positions=5, seed=3)
    maps = keras.Model(twin.inputs, tensors[Ref("a1")])(images)
    cut = sampler.places(2)(maps, images, tf.constant(0)).numpy()
    assert cut.shape == (48 * 5, 8)
    positions = sampler._positions(images, 2, tf.constant(0)).numpy()
    down, across = (np.minimum((positions[7, 1] * 8).astype(int), 7)).tolist()
    np.testing.assert_array_equal(cut[7 * 5 + 1], np.asarray(maps)[7, down, across])

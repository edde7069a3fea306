"""A network's own answers as labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nets.own_labels import answers, labelled_arrays
from utils.errors import InputError


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(3)(inputs))


def test_classes_that_are_chosen():
    assert answers(np.array([[1.0, 3.0, 2.0]]), "linear", "it").tolist() == [1]
    assert answers(np.array([[0.7], [0.2]]), "sigmoid", "it").tolist() == [1, 0]


@pytest.mark.parametrize("shape", [(3, 1), (3, 4, 4)])
def test_outputs_without_classes_are_refused(shape):
    with pytest.raises(InputError, match="no classes whose agreement"):
        answers(np.zeros(shape), "linear", "it")


def test_images_are_divided_and_labelled(network):
    images = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    found = labelled_arrays(images, network, "linear")
    assert (len(found.train[0]), found.num_held_out, len(found.test[0])) == (40, 15, 10)
    for part, labels in (found.train, found.test):
        np.testing.assert_array_equal(labels, np.asarray(network(part)).argmax(axis=1))
    batches = tf.data.Dataset.from_tensor_slices(images).batch(16)
    again = labelled_arrays(batches, network, "linear")
    np.testing.assert_array_equal(again.train[0], found.train[0])


@pytest.mark.parametrize("images", [np.zeros((50, 5)), np.zeros((3, 4)), "folder", [object()]])
def test_images_that_do_not_fit_are_refused(network, images):
    with pytest.raises(InputError, match="`images` must be"):
        labelled_arrays(images, network, "linear")

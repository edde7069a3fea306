"""Batches from what a caller has: the same samples, whatever the form."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from datasets.given import Weighted, read_given, unpacked
from utils.errors import InputError

X = np.arange(10 * 3, dtype=np.float64).reshape(10, 3)
Y = np.arange(10)
W = np.linspace(0.0, 1.0, 10)
INPUTS = {"x": (None, 3)}


def given(data, inputs=None, batch_size=4, seed=0):
    return read_given("train_ds", data, inputs or INPUTS, batch_size=batch_size, seed=seed)


def slices(data, size=4):
    return tf.data.Dataset.from_tensor_slices(data).batch(size)


class Sequence(keras.utils.PyDataset):
    """Batches by number; counts its epochs."""

    def __init__(self, *parts):
        super().__init__()
        self.parts, self.begun, self.ended = parts, 0, 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return tuple(part[4 * index : 4 * index + 4] for part in self.parts)

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self):
        self.ended += 1


def all_of(batches):
    return [np.concatenate(parts) for parts in zip(*batches.as_numpy_iterator(), strict=True)]


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        (tf.constant(X), list(Y)),
        slices((X.astype(np.float32), Y)),
        Sequence(X, Y),
    ],
    ids=["arrays", "tensors", "dataset", "py_dataset"],
)
def test_every_sample_in_order(data):
    found = given(data)
    x, y = all_of(found.batches)
    np.testing.assert_array_equal(x, X.astype(np.float32))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(y, Y)
    assert (found.num_batches, found.batch_size()) == (3, 4)
    assert int(found.batches.cardinality()) == 3


@pytest.mark.parametrize(
    "data",
    [(X, Y, W), slices((X, Y, W)), Sequence(X, Y, W)],
    ids=["arrays", "dataset", "py_dataset"],
)
def test_sample_weights_ride_on_the_labels(data):
    found = given(data)
    weights = []
    for _, labels in found.batches:
        assert isinstance(labels, Weighted)
        np.testing.assert_array_equal(unpacked(labels)[0], labels.labels)
        weights.append(unpacked(labels)[1])
    np.testing.assert_allclose(np.concatenate(weights), W, rtol=1e-6)
    _, labels = next(iter(found.training(0)))
    np.testing.assert_allclose(labels.weights, W[labels.labels.numpy()], rtol=1e-6)
    assert unpacked(Y)[0] is Y and unpacked(Y)[1] is None


@pytest.mark.parametrize("make", [lambda: (X, Y), lambda: Sequence(X, Y)], ids=["arrays", "py"])
def test_training_sees_every_sample_in_each_epoch_in_another_order(make):
    found = given(make())
    orders = [all_of(found.training(3 * epoch).take(3))[1] for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), Y)
    assert not np.array_equal(orders[0], orders[1]) or not np.array_equal(orders[1], orders[2])
    again = all_of(given(make()).training(0).take(9))[1]
    np.testing.assert_array_equal(again, np.concatenate(orders))
    other = all_of(given(make(), seed=1).training(0).take(9))[1]
    assert not np.array_equal(other, again)


@pytest.mark.parametrize(
    "make",
    [lambda: (X, Y), lambda: slices((X, Y)), lambda: Sequence(X, Y)],
    ids=["arrays", "dataset", "py_dataset"],
)
@pytest.mark.parametrize("first_step", [1, 4])
def test_training_may_begin_anywhere(make, first_step):
    whole = list(given(make()).training(0).take(6).as_numpy_iterator())
    rest = list(given(make()).training(first_step).take(6 - first_step).as_numpy_iterator())
    for (x, y), (x_rest, y_rest) in zip(whole[first_step:], rest, strict=True):
        np.testing.assert_array_equal(x, x_rest)
        np.testing.assert_array_equal(y, y_rest)


def test_a_py_dataset_is_told_of_its_epochs():
    data = Sequence(X, Y)
    list(given(data).training(0).take(7))
    assert (data.begun, data.ended) == (3, 2)


def test_several_inputs_and_outputs():
    inputs = {"a": (None, 3), "b": (None, 1)}
    for x in ([X, W[:, None]], (X, W[:, None]), {"a": X, "b": W[:, None]}):
        found = given((x, {"p": Y, "q": [Y, W]}), inputs)
        parts, labels = next(iter(found.batches))
        flat = keras.tree.flatten(parts)
        np.testing.assert_allclose(flat[0], X[:4])
        np.testing.assert_allclose(flat[1], W[:4, None])
        assert sorted(labels) == ["p", "q"] and len(labels["q"]) == 2


def test_a_missing_channel_axis_is_added_as_keras_does():
    images = np.zeros((10, 5, 5))
    for data in ((images, Y), slices((images, Y))):
        found = given(data, {"x": (None, 5, 5, 1)})
        assert found.batches.element_spec[0].shape[1:] == (5, 5, 1)
        assert next(iter(found.training(2)))[0].shape[1:] == (5, 5, 1)


def generator():
    yield X, Y


class Endless(Sequence):
    num_batches = None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X, r"must be arrays \(x, y\).*Received: ndarray. Add the labels: \(x, y\)"),
        ([X, Y], r"Received: list. Write \(x, y\) as a tuple"),
        (generator(), r"Received: generator. A generator can be used only once: wrap it with tf"),
        ("data", r"Received: str\.$"),
        ((X,), r"Received: a tuple of 1"),
        ((X, Y[:4]), r"arrays of one length. Received lengths: 10, 4"),
        ((X[:0], Y[:0]), r"must have samples"),
        ((X, np.array([{}] * 10)), r"Received in it: ndarray of object"),
        (tf.data.Dataset.from_tensor_slices((X, Y)), r"gives single samples, of shape \(3,\); the "
         r"network takes batches, of shape \(None, 3\). Write train_ds.batch\(128\)"),
        (slices(X), r"must give pairs \(inputs, labels\), or triples.*Received elements of"),
        (slices({"x": X, "y": Y}), r"must give pairs .*Bring them into that form with .map"),
        (slices((X, Y)).repeat(), r"known, finite length. It repeats without end: leave .repeat"),
        (slices((X, Y)).take(0), r"known, finite length. It has no batch"),
        (slices((X, Y)).filter(lambda x, y: True), r"finite length. It does not tell how many"),
        (slices((X[:, :2], Y)), r"gives inputs of shape \(None, 2\); the network takes \(None, 3"),
        ((X[:, :2], Y), r"gives inputs of shape \(None, 2\); the network takes \(None, 3\)"),
        (((X, X), Y), r"must give the network's 1 inputs: x"),
        (({"z": X}, Y), r"must give the network's 1 inputs: x"),
        (Endless(X, Y), r"known, finite length. Received a PyDataset of None batches"),
        (Sequence(X), r"must give pairs \(inputs, labels\).*Received a batch of tuple"),
    ],
)  # fmt: skip
def test_wrong_data(data, message):
    with pytest.raises(InputError, match=rf"`train_ds`.*{message}"):
        given(data)

import numpy as np
import pytest
import tensorflow as tf

from pipeline.user_code import build_network, explained, try_batches
from tests.nets.abstract_model_helper_test import IMAGES, LABELS, Tiny, helper
from utils.errors import InputError


def test_tensorflows_errors_are_explained():
    message = r"failed while it ran: InvalidArgumentError: .*\[0, 3\)"
    with pytest.raises(InputError, match=message), explained():
        tf.nn.sparse_softmax_cross_entropy_with_logits([7], [[1.0, 2.0, 3.0]])
    with pytest.raises(InputError, match=r"memory ran out: .*Lower --batch_size"), explained():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    with pytest.raises(ZeroDivisionError), explained():  # a mistake of ours
        raise ZeroDivisionError


def test_builds_the_network():
    assert build_network(helper()).get_layer("fc").units == 3


class Triples(Tiny):
    def build_dataset_eval(self):
        return tf.data.Dataset.from_tensors((IMAGES, LABELS, LABELS))


class Broken(Tiny):
    def forward(self, inputs):
        return inputs.nothing


class NoData(Tiny):
    def build_dataset_train(self):
        raise FileNotFoundError("images.tar")


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Triples, r"Triples.build_dataset_eval must give pairs \(images, labels\). Received el"),
        (Broken, r"Broken.forward failed: AttributeError: .*nothing"),
        (NoData, r"NoData.build_dataset_train failed: FileNotFoundError: images.tar"),
    ],
)
def test_networks_that_cannot_be_built(cls, message):
    with pytest.raises(InputError, match=message):
        build_network(helper(cls))


class WrongSize(Tiny):
    def build_dataset_train(self):
        return tf.data.Dataset.from_tensors((IMAGES[:, :5], LABELS))


class NotFinite(Tiny):
    def build_dataset_eval(self):
        return tf.data.Dataset.from_tensors((np.inf * (IMAGES - 0.5), LABELS))


def test_tries_a_batch():
    one = helper()
    model = one.build_model()
    before = model.get_weights()
    try_batches(one, model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (WrongSize, r"A batch of WrongSize.build_dataset_train in network and calc_loss failed"),
        (NotFinite, r"on the first batch of NotFinite.build_dataset_eval is nan. Give finite im"),
    ],
)
def test_batches_that_do_not_fit(cls, message):
    one = helper(cls)
    with pytest.raises(InputError, match=message):
        try_batches(one, helper().build_model())


def test_weights_that_are_not_finite():
    one = helper()
    model = one.build_model()
    model.get_layer("fc").kernel.assign(np.full((36, 3), np.nan))
    with pytest.raises(InputError, match=r"build_dataset_train is nan. Give finite images and a"):
        try_batches(one, model)

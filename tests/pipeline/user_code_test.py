import pytest
import tensorflow as tf

from pipeline.user_code import build_network, explained
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

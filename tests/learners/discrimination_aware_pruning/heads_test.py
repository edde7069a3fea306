import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from learners.discrimination_aware_pruning.heads import (
    class_count,
    head_loss,
    num_classes,
    with_head,
)
from tests.learners.networks import images, randomised, residual
from utils.errors import InputError
from utils.graph import from_keras


@pytest.fixture(scope="module")
def headed():
    model = residual()
    head = with_head(model, model.get_layer("sum_a").output, 3, 4, seed=0)
    randomised(head.part, seed=5)
    return model, head


def test_the_head_is_batch_norm_relu_average_dense(headed):
    model, head = headed
    seen = keras.Model(model.input, model.get_layer("sum_a").output)(images(7), training=False)
    gamma, beta, mean, variance = (
        np.array(v) for v in head.model.get_layer("discrimination_bn").weights
    )
    normed = (np.array(seen) - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    pooled = np.maximum(normed, 0.0).mean(axis=(1, 2))
    kernel, bias = (np.array(v) for v in head.model.get_layer("discrimination").weights)
    wanted = pooled @ kernel + bias
    outputs, logits = head.model(images(7), training=False)
    np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head.part(seen, training=False), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(outputs, model(images(7), training=False))


def test_a_head_takes_no_name_that_is_taken():
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, name="discrimination")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    head = with_head(model, hidden, 1, 2, seed=0)
    assert head.layer == "discrimination_1"
    assert [tuple(output.shape) for output in head.model.outputs] == [(None, 2), (None, 2)]


def test_a_seed_gives_the_same_weights_whatever_was_drawn_before():
    def kernel(seed):
        keras.random.normal((3,))
        model = residual()
        head = with_head(model, model.get_layer("sum_a").output, 3, 4, seed)
        return np.array(head.part.get_layer("discrimination").kernel)

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert not np.array_equal(kernel(1), kernel(2))


def cross_entropy(shares, logits):
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -np.mean(np.sum(shares * logs, axis=1))


@pytest.mark.parametrize(
    "labels",
    [np.array([2, 0, 1]), np.array([[2], [0], [1]], np.uint8), np.eye(3)[[2, 0, 1]]],
    ids=["numbers", "column", "one-hot"],
)
def test_the_loss_is_cross_entropy_in_every_form_of_labels(labels):
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    wanted = cross_entropy(np.eye(3)[[2, 0, 1]], logits)
    assert float(head_loss(labels, logits)) == pytest.approx(wanted, rel=1e-5)


def test_smoothed_labels():
    logits = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    shares = np.full((4, 3), 0.05) + 0.85 * np.eye(3)[[0, 1, 1, 2]]
    found = float(head_loss(shares, logits))
    assert found == pytest.approx(cross_entropy(shares, logits), rel=1e-5)


@given(hnp.arrays(np.int64, st.integers(1, 9), elements=st.integers(0, 4)))
def test_class_numbers_and_one_hot_are_told(labels):
    for form in (labels, labels[:, None], labels.astype(np.float32), np.eye(5)[labels]):
        assert class_count(form, (None, 5)) == 5


@pytest.mark.parametrize(
    ("labels", "shape"),
    [
        (np.array([0, 7]), (None, 5)),
        (np.array([-1, 2]), (None, 5)),
        (np.array([0.5, 2.0]), (None, 5)),
        (np.array([[1.0, 1.0, 0.0]]), (None, 3)),
        (np.array([[0.2, -0.1, 0.9]]), (None, 3)),
        (np.array([[2.5], [0.1]]), (None, 1)),
        (np.zeros((2, 4, 4), int), (None, 4, 4, 3)),
        (np.zeros((2, 7), int), (None, 3)),
        (np.zeros(2, int), (None, None)),
        (np.array(["cat", "dog"]), (None, 2)),
    ],
    ids="large negative halves several below_zero regression pixels boxes open text".split(),
)
def test_other_tasks_have_no_classes(labels, shape):
    assert class_count(labels, shape) is None


def test_yes_or_no_is_two_classes():
    assert class_count(np.array([0, 1, 1]), (None, 1)) == 2


def test_a_task_without_classes_is_refused_with_the_way_out():
    graph = from_keras(residual())
    assert num_classes(graph, np.array([4, 0]), flag="dcp_nb_stages") == 5
    message = (
        r"`dcp_nb_stages`: additional losses tell classes apart, and the labels of residual do not "
        r"give one class for each sample \(outputs \[\(None, 5\)\]\). Give --dcp_nb_stages=0"
    )
    for labels in (np.array([0.3, 0.7]), {"a": np.array([1])}):
        with pytest.raises(InputError, match=message):
            num_classes(graph, labels, flag="dcp_nb_stages")

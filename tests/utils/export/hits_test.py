import keras
import numpy as np
import pytest

from utils.export.hits import Hits


def hits_of(batches, accuracy):
    hits = Hits()
    for labels, outputs in batches:
        hits.add(labels, outputs)
    return hits.of(accuracy)


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


@pytest.mark.parametrize("one_hot", [False, True])
def test_classes(logits, one_hot):
    labels = np.random.default_rng(1).integers(0, 4, 50)
    given = np.eye(4)[labels] if one_hot else labels[:, None]
    right = logits.argmax(-1) == labels
    batches = [(given[:30], logits[:30]), (given[30:], logits[30:])]
    np.testing.assert_array_equal(hits_of(batches, right.mean()), right)


@pytest.mark.parametrize(
    ("metric", "logistic"),
    [(keras.metrics.BinaryAccuracy(), True), (keras.metrics.BinaryAccuracy(threshold=0.0), False)],
)
def test_thresholds(metric, logistic):
    """Binary accuracy as Keras counts it, of probabilities and of logits."""
    generator = np.random.default_rng(0)
    outputs = generator.normal(size=(40, 1)).astype(np.float32)
    outputs = 1 / (1 + np.exp(-outputs)) if logistic else outputs
    labels = generator.integers(0, 2, (40, 1))
    metric.update_state(labels, outputs)
    found = hits_of([(labels, outputs)], float(metric.result()))
    above = outputs[:, 0] > (0.5 if logistic else 0.0)
    np.testing.assert_array_equal(found, above == (labels[:, 0] == 1))


def test_several_labels_per_sample_are_shares():
    outputs, labels = np.array([[0.9, 0.2], [0.9, 0.8]]), np.array([[1, 0], [0, 1]])
    metric = keras.metrics.BinaryAccuracy()
    metric.update_state(labels, outputs)
    assert hits_of([(labels, outputs)], float(metric.result())).tolist() == [1.0, 0.5]


def test_pixels_are_shares_of_their_image():
    outputs = np.zeros((2, 3, 3, 2))
    outputs[..., 1] = 1.0
    labels = np.ones((2, 3, 3), int)
    labels[1, 0] = 0
    assert hits_of([(labels, outputs)], 15 / 18) == pytest.approx([1.0, 6 / 9])


def test_nothing_is_guessed(logits):
    labels = np.random.default_rng(1).integers(0, 4, 50)
    right = (logits.argmax(-1) == labels).mean()
    assert hits_of([(labels, logits)], right + 1 / 50) is None
    assert hits_of([(None, logits)], right) is None
    assert hits_of([({"a": labels}, logits)], right) is None
    assert hits_of([(labels, [logits, logits])], right) is None
    assert hits_of([(labels, logits), (None, logits)], right) is None


def test_choices_of_one_class_per_sample():
    hits = Hits()
    hits.add(np.array([[0], [2]]), np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]]))
    hits.add(np.array([[1]]), np.array([[0.0, 1.0, 0.0]]))
    found = hits.choices(2 / 3)
    np.testing.assert_array_equal(found.labels, [0, 2, 1])
    np.testing.assert_array_equal(found.chosen, [0, 1, 1])
    assert hits.choices(0.0) is None  # no rule gives that accuracy


def test_no_choices_where_a_sample_has_several_classes():
    hits = Hits()
    hits.add(np.array([[0, 1]]), np.array([[[0.9, 0.1], [0.2, 0.8]]]))
    assert hits.of(1.0) is not None
    assert hits.choices(1.0) is None

"""One pass over the data: against NumPy on the whole set, and what happens when something fails."""

import numpy as np
import pytest

from utils.errors import InputError
from utils.export.compare import Subject, observe


def accuracy(labels, outputs):
    return {"accuracy": np.mean(np.argmax(np.asarray(outputs), -1) == labels)}


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(50, 3)).astype(np.float32)
    return inputs, generator.integers(0, 3, 50)


def batched(inputs, labels, *more):
    return [(inputs[:20], labels[:20], *more), (inputs[20:], labels[20:], *more)]


def test_against_the_whole_set_at_once(data):
    inputs, labels = data
    seen = observe(
        [
            Subject(name="exact", run=lambda x: x),
            Subject(name="rounded", run=lambda x: np.round(x), reference="exact"),
        ],
        batched(*data, "a weight that no one asked for"),
        accuracy,
    )
    exact, rounded = seen["exact"], seen["rounded"]
    right = inputs.argmax(-1) == labels
    assert exact.num_samples == rounded.num_samples == 50
    assert exact.scores["accuracy"] == pytest.approx(right.mean())
    np.testing.assert_array_equal(exact.hits, right)
    assert (exact.error, exact.agreement) == (None, None)
    low = np.round(inputs)
    assert rounded.error == pytest.approx(
        np.sqrt(np.sum((low - inputs) ** 2) / np.sum(inputs**2)), rel=1e-6
    )
    assert rounded.agreement == pytest.approx(np.mean(low.argmax(-1) == inputs.argmax(-1)))


def test_the_data_are_read_once_and_pairs_stay_pairs(data):
    """A data set that gives another order every time it is read."""
    inputs, labels = data
    reads = []

    class Shuffled:
        def __iter__(self):
            reads.append(None)
            order = np.random.default_rng(len(reads)).permutation(50)
            return iter(batched(inputs[order], labels[order]))

    subjects = [Subject(name=name, run=lambda x: x) for name in ("one", "other")]
    seen = observe(subjects, Shuffled(), accuracy)
    assert len(reads) == 1
    np.testing.assert_array_equal(seen["one"].hits, seen["other"].hits)


def test_one_that_fails_leaves_the_others(data):
    calls = []

    def broken(inputs):
        calls.append(len(inputs))
        if len(calls) == 2:
            raise RuntimeError("no more")
        return inputs

    seen = observe(
        [
            Subject(name="broken", run=broken),
            Subject(name="of it", run=lambda x: x, reference="broken"),
            Subject(name="fine", run=lambda x: x),
        ],
        batched(*data),
        accuracy,
    )
    assert seen["broken"].failed == "no more" and seen["broken"].num_samples == 0
    assert seen["of it"].failed == "broken: no more"
    assert seen["fine"].num_samples == 50 and seen["fine"].failed == ""


def test_a_scorer_that_fails_is_heard(data):
    def wrong(labels, outputs):
        raise KeyError("colour")

    with pytest.raises(KeyError, match="colour"):
        observe([Subject(name="any", run=lambda x: x)], batched(*data), wrong)


def test_no_data():
    with pytest.raises(InputError, match=r"the data set to check .tflite files with is empty"):
        observe([], [], accuracy)

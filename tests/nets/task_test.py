"""Tasks by outputs and labels; losses and scores against plain NumPy."""

import keras
import numpy as np
import pytest

from datasets.user_data.parts import Part, Stored
from nets.task import BINARY, CLASSES, VALUES, Task, find_task
from utils.errors import InputError


def part(labels):
    labels = np.asarray(labels)
    return Part(inputs=Stored(np.zeros((len(labels), 2)), None), labels=labels)


def found(num_outputs, labels, ending="linear", classes=()):
    outputs = [keras.KerasTensor((None, num_outputs))]
    return find_task(outputs, ending, [part(labels)], classes, "data")


@pytest.mark.parametrize(
    ("num_outputs", "labels", "ending", "kind"),
    [(3, [0, 1, 2], "softmax", CLASSES), (3, [0, 1, 0], "linear", CLASSES),
     (1, [0, 1, 1], "sigmoid", BINARY), (1, [0, 1, 1], "linear", BINARY),
     (1, [3, 1, 7], "linear", VALUES), (1, [0.5, 1.5], "linear", VALUES),
     (2, [[0.5, 1.0], [2.0, 1.0]], "linear", VALUES)],
)  # fmt: skip
def test_kinds(num_outputs, labels, ending, kind):
    assert found(num_outputs, labels, ending).kind == kind


@pytest.mark.parametrize(
    ("num_outputs", "labels", "classes", "message"),
    [(3, [0, 3], (), "lie in 0..3; the network has 3 outputs"), (3, [-1, 2], (), r"lie in -1..2"),
     (3, [1, 1], (), "one class, 1"), (3, [0, 1], ("cat", "dog"), r"2 classes \(cat, dog\)"),
     (3, [0.5, 0.1], (), "1 values each"), (1, [0, 1, 2], ("a", "b", "c"), "3 classes")],
)  # fmt: skip
def test_refused(num_outputs, labels, classes, message):
    with pytest.raises(InputError, match=message):
        found(num_outputs, labels, classes=classes)


def test_outputs_of_another_form():
    for outputs in ([keras.KerasTensor((None, 4, 4, 2))], [keras.KerasTensor((None, 2))] * 2):
        with pytest.raises(InputError, match=r"one output \[batch, classes\]"):
            find_task(outputs, "linear", [part([0, 1])], (), "data")


OUTPUTS = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.3, 0.4, 0.3]], np.float32)
LABELS = np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("ending", "wanted"),
    [("softmax", -np.log(OUTPUTS[range(3), LABELS]).mean()),
     ("linear", np.mean(np.log(np.exp(OUTPUTS).sum(1)) - OUTPUTS[range(3), LABELS])),
     ("sigmoid", -np.log(np.where(np.eye(3)[LABELS] == 1, OUTPUTS, 1 - OUTPUTS)).mean())],
)  # fmt: skip
def test_loss_and_score_of_classes(ending, wanted):
    task = Task(kind=CLASSES, ending=ending, num_outputs=3)
    loss = task.compile_arguments()["loss"](task.labels(LABELS), OUTPUTS)
    assert float(loss) == pytest.approx(float(wanted), rel=1e-4)
    assert task.score(LABELS, OUTPUTS) == pytest.approx(2 / 3)
    assert task.chance(LABELS) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("ending", "output"), [("sigmoid", 0.6), ("linear", np.log(0.6 / 0.4))])
def test_loss_and_score_of_two_classes(ending, output):
    task = Task(kind=BINARY, ending=ending, num_outputs=1)
    outputs = np.full((4, 1), output, np.float32)
    loss = task.compile_arguments()["loss"](task.labels(np.array([1, 1, 1, 0])), outputs)
    assert float(loss) == pytest.approx(-(3 * np.log(0.6) + np.log(0.4)) / 4, rel=1e-4)
    assert task.score(np.array([1, 1, 1, 0]), outputs) == 0.75


def test_share_of_variance_explained():
    task = Task(kind=VALUES, ending="linear", num_outputs=1)
    labels = np.array([1.0, 2.0, 3.0], np.float32)
    assert task.score(labels, labels[:, None]) == 1.0
    assert task.score(labels, np.full((3, 1), 2.0)) == 0.0
    assert task.score(labels, np.array([[1.0], [2.0], [4.0]])) == pytest.approx(0.5)
    assert task.chance(labels) == 0.0

"""What a network is trained for, told by its outputs and the labels: classes or values.

outputs                       labels             loss
softmax over K classes        classes 0..K-1     cross-entropy of probabilities
K linear outputs (logits)     classes 0..K-1     cross-entropy of logits
K sigmoids                    classes 0..K-1     binary cross-entropy against one-hot labels
one sigmoid, or one logit     classes 0, 1       binary cross-entropy
anything                      values             mean squared error
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.user_data.parts import Part
from utils.errors import InputError

if TYPE_CHECKING:
    import keras

CLASSES, BINARY, VALUES = "classes", "binary", "values"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What the network is trained for.

    Attributes:
        kind: `classes`, `binary` or `values`.
        ending: of the network: `softmax`, `sigmoid`, `linear` or `unknown`, see
            `utils.graph.endings`.
        num_outputs: size of the output.
    """

    kind: str
    ending: str
    num_outputs: int

    def labels(self, values: np.ndarray) -> np.ndarray:
        """Bring labels into the form that the loss takes."""
        if self.kind == CLASSES and self.ending == "sigmoid":
            return np.eye(self.num_outputs, dtype=np.float32)[values]
        if self.kind == CLASSES:
            return values.astype(np.int32)
        values = values.astype(np.float32)
        return values[:, None] if values.ndim == 1 else values

    def compile_arguments(self) -> dict[str, Any]:
        """Give loss and metrics, for `keras.Model.compile`."""
        import keras

        losses, metrics = keras.losses, keras.metrics
        if self.kind == VALUES:
            return {"loss": losses.MeanSquaredError(), "metrics": ["mean_absolute_error"]}
        if self.kind == BINARY:
            logits = self.ending != "sigmoid"
            accuracy = metrics.BinaryAccuracy("accuracy", threshold=0.0 if logits else 0.5)
            return {"loss": losses.BinaryCrossentropy(from_logits=logits), "metrics": [accuracy]}
        if self.ending == "sigmoid":
            accuracy = metrics.CategoricalAccuracy("accuracy")
            return {"loss": losses.BinaryCrossentropy(), "metrics": [accuracy]}
        loss = losses.SparseCategoricalCrossentropy(from_logits=self.ending != "softmax")
        return {"loss": loss, "metrics": ["accuracy"]}

    def score(self, labels: np.ndarray, outputs: np.ndarray) -> float:
        """Compute the share that is right, or for values the share of variance explained."""
        if self.kind == CLASSES:
            return float((outputs.argmax(axis=-1) == labels).mean())
        if self.kind == BINARY:
            threshold = 0.5 if self.ending == "sigmoid" else 0.0
            return float(((outputs.reshape(-1) > threshold) == labels).mean())
        wanted = self.labels(labels)
        spread = float(np.square(wanted - wanted.mean(axis=0)).sum())
        missed = float(np.square(wanted - outputs.reshape(wanted.shape)).sum())
        return max(0.0, 1 - missed / spread) if spread else 0.0

    def chance(self, labels: np.ndarray) -> float:
        """Give the score of guessing: always the commonest class, or the mean."""
        if self.kind == VALUES:
            return 0.0
        commonest = float(np.unique(labels, return_counts=True)[1].max()) / len(labels)
        return max(commonest, 1 / max(self.num_outputs, 2))


def find_task(
    outputs: Sequence[keras.KerasTensor],
    ending: str,
    parts: Sequence[Part],
    classes: Sequence[str],
    name: str,
) -> Task:
    """Tell the task.

    Args:
        outputs: of the network.
        ending: what the output is, see `Task`.
        parts: of the data.
        classes: their names, where they have names.
        name: of the data, for messages.

    Raises:
        InputError: if outputs and labels do not fit each other.
    """
    if len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].shape[-1] is None:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in outputs)
        raise InputError(
            "--model takes networks with one output [batch, classes]. Received outputs of shape "
            f"{shapes}. Write a ModelHelper with its loss, see docs/self_defined_models.md."
        )
    num_outputs = int(outputs[0].shape[-1])
    if not all(part.has_classes for part in parts):
        return _values(num_outputs, ending, parts, name)
    found = np.unique(np.concatenate([np.unique(part.labels) for part in parts]))
    if num_outputs == 1 and not classes and len(found) > 2 and ending != "sigmoid":
        return _values(num_outputs, ending, parts, name)  # whole numbers to predict
    num_classes = 2 if num_outputs == 1 else num_outputs
    _check_classes(found, num_classes, num_outputs, classes, name)
    kind = BINARY if num_outputs == 1 else CLASSES
    return Task(kind=kind, ending=ending, num_outputs=num_outputs)


def _values(num_outputs: int, ending: str, parts: Sequence[Part], name: str) -> Task:
    for part in parts:
        size = int(np.prod(part.labels.shape[1:]))
        if size != num_outputs:
            raise InputError(
                f"{name}: its labels are {size} values each, not classes; the network has "
                f"{num_outputs} outputs. Give whole numbers from 0 for classes."
            )
    return Task(kind=VALUES, ending=ending, num_outputs=num_outputs)


def _check_classes(
    found: np.ndarray, num_classes: int, num_outputs: int, classes: Sequence[str], name: str
) -> None:
    outputs = f"the network has {num_outputs} output{'s' if num_outputs > 1 else ''}"
    if classes and len(classes) != num_classes:
        raise InputError(
            f"{name}: has {len(classes)} classes ({', '.join(classes[:5])}"
            f"{', …' if len(classes) > 5 else ''}); {outputs}. Give the classes that it was "
            "trained on."
        )
    if found[0] < 0 or found[-1] >= num_classes:
        raise InputError(
            f"{name}: its labels lie in {found[0]}..{found[-1]}; {outputs}, for classes "
            f"0..{num_classes - 1}. Number the classes from 0, or give the data that it was "
            "trained on."
        )
    if len(found) < 2:
        raise InputError(
            f"{name}: all samples are of one class, {found[0]}. Give samples of two or more."
        )

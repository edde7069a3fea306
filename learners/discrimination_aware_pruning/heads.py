"""The auxiliary head of a stage, and its loss: F^p = BN, ReLU, average pooling; softmax on it.

Reference:
    Zhuang et al., "Discrimination-aware Channel Pruning for Deep Neural Networks", 2018,
    arXiv:1810.11809, section 3.2.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from utils.errors import InputError
from utils.graph import Graph
from utils.graph.ir import unique_name

SUM_TOLERANCE = 1e-3  # of probabilities in one-hot or smoothed labels


@dataclasses.dataclass(frozen=True)
class Head:
    """A network with an auxiliary head.

    Attributes:
        model: gives the network's own outputs, then the head's logits.
        layer: name of the layer that makes the logits.
        part: the head alone, from the tensor it stands on to the logits.
    """

    model: keras.Model
    layer: str
    part: keras.Model


def with_head(
    model: keras.Model, tensor: keras.KerasTensor, axis: int, num_classes: int, seed: int
) -> Head:
    """Put a head on a tensor inside a network.

    Args:
        model: functional model; the result shares its layers.
        tensor: of it, [batch, ..., channels, ...].
        axis: of the channels.
        num_classes: logits of the head.
        seed: its weights come from it.

    Returns:
        The network with the head.
    """
    taken = {operation.name for operation in model.operations}
    layer = unique_name("discrimination", taken)
    x = keras.layers.BatchNormalization(axis=axis, name=unique_name("discrimination_bn", taken))(
        tensor
    )
    x = keras.layers.ReLU(name=unique_name("discrimination_relu", taken))(x)
    pooled = tuple(i for i in range(1, len(tensor.shape)) if i != axis)
    if pooled:
        x = keras.ops.mean(x, axis=pooled)
    initializer = keras.initializers.GlorotUniform(seed=seed)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer=initializer, dtype="float32", name=layer
    )(x)
    return Head(
        keras.Model(model.input, [model.output, logits]), layer, keras.Model(tensor, logits)
    )


def head_loss(labels: Any, logits: Any) -> Any:
    """Compute the discrimination-aware loss L_S^p: the head's cross-entropy.

    Args:
        labels: class numbers [batch] or [batch, 1], or a share of each class [batch, classes].
        logits: [batch, classes].

    Returns:
        Scalar, the mean over the batch.
    """
    labels = keras.ops.convert_to_tensor(labels)
    if len(labels.shape) == 2 and labels.shape[-1] == logits.shape[-1]:
        shares = keras.ops.cast(labels, logits.dtype)
        losses = keras.ops.categorical_crossentropy(shares, logits, from_logits=True)
    else:
        numbers = keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32")
        losses = keras.ops.sparse_categorical_crossentropy(numbers, logits, from_logits=True)
    return keras.ops.mean(losses)


def class_count(labels: np.ndarray, output_shape: Sequence[int | None]) -> int | None:
    """Tell how many classes a task has by a batch of its labels.

    Args:
        labels: of a batch.
        output_shape: of the network's only output, batch axis (None) included.

    Returns:
        The number of classes; 2 for a single score of yes or no. None where a sample has not one
        class out of several: regression, labels for each pixel, several classes at a time.

    Example:
        >>> class_count(np.array([3, 0]), (None, 10)), class_count(np.eye(3), (None, 3))
        (10, 3)
        >>> class_count(np.array([[0.0], [1.0]]), (None, 1))
        2
        >>> print(class_count(np.array([[0.3], [1.7]]), (None, 1)))
        None
    """
    if len(output_shape) != 2 or output_shape[-1] is None or labels.dtype.kind not in "biuf":
        return None
    size = int(output_shape[-1])
    if labels.ndim == 2 and labels.shape[1] == size > 1:
        sums = labels.sum(axis=1, dtype=np.float64)
        shares = labels.min() >= 0 and np.all(np.abs(sums - 1.0) <= SUM_TOLERANCE)
        return size if shares else None
    if labels.ndim != 1 and labels.shape[1:] != (1,):
        return None
    count = max(size, 2)
    numbers = labels.astype(np.float64)
    whole = np.all(numbers == np.round(numbers))
    return count if whole and numbers.min() >= 0 and numbers.max() < count else None


def num_classes(graph: Graph, labels: Any, *, flag: str) -> int:
    """Tell how many classes a network's heads have to tell apart.

    Args:
        graph: the network.
        labels: of a batch, without sample weights.
        flag: that asks for heads, for the message.

    Returns:
        See `class_count`.

    Raises:
        InputError: where a sample has not one class out of several.
    """
    shapes = [graph.shape(ref) for ref in graph.outputs]
    found = None
    if len(shapes) == 1 and hasattr(labels, "shape"):
        found = class_count(np.asarray(labels), shapes[0])
    if found is None:
        raise InputError(
            f"`{flag}`: additional losses tell classes apart, and the labels of {graph.name} do "
            f"not give one class for each sample (outputs {shapes}). Give --{flag}=0: channels are "
            "then chosen by reconstruction and the network's own loss."
        )
    return found

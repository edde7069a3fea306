"""The loss' mean gradient of kernels on training images, for a criterion that needs it at once."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.traced import traced
from utils.training.loss import CalcLoss, without_decay
from utils.training.reproducible import fixed_order


def mean_gradients(
    model: keras.Model,
    variables: Sequence[keras.Variable],
    batches: Iterable[Any],
    calc_loss: CalcLoss,
) -> list[np.ndarray]:
    """Average the gradient over batches; the network is in inference mode and stays as it is.

    Args:
        model: the network.
        variables: of it.
        batches: pairs of inputs and labels, at least one.
        calc_loss: the loss; weight decay has no part in it.

    Returns:
        For each variable float32 of its shape.
    """
    of_labels = without_decay(calc_loss)

    @traced
    def gradients(inputs: Any, labels: Any) -> Sequence[Any]:
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=False)
            loss, _ = of_labels(labels, outputs, ())
        sources = [variable.value for variable in variables]
        found = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(each) for each in found]

    totals, number = [np.zeros(variable.shape, np.float32) for variable in variables], 0
    with fixed_order():
        for inputs, labels, *_ in batches:
            number += 1
            for total, part in zip(totals, gradients(inputs, labels), strict=True):
                total += part.numpy()
    return [total / max(number, 1) for total in totals]

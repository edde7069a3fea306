"""Gradient times weight of filters on training images."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from learners.filters.carriers import FILTER, Carrier
from learners.live_weights import LiveWeights
from utils.traced import traced
from utils.training.loss import CalcLoss, without_decay
from utils.training.reproducible import fixed_order

Key = tuple[str, str]


def filter_products(
    model: keras.Model,
    weights: LiveWeights,
    parts: Iterable[Carrier],
    batches: Iterable[Any],
    calc_loss: CalcLoss,
) -> dict[Key, np.ndarray]:
    """Compute gradient times weight, summed over each filter, batch by batch.

    The network is in inference mode, so that it stays as it is.

    Args:
        model: the network.
        weights: its variables.
        parts: of whose filters.
        batches: pairs of inputs and labels.
        calc_loss: the loss. What it takes from the weights, their decay, has no part: a filter's
            worth is what the data say.

    Returns:
        (layer, weight) -> float [batches, filters].
    """
    wanted = {(part.layer, part.weight): part for part in parts if part.kind == FILTER}
    of_labels = without_decay(calc_loss)
    variables = [weights.variable(*key) for key in wanted]

    @traced
    def gradients(inputs: Any, labels: Any) -> Sequence[Any]:
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=False)
            loss, _ = of_labels(labels, outputs, ())
        sources = [variable.value for variable in variables]
        return tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    found: dict[Key, list[np.ndarray]] = {key: [] for key in wanted}
    with fixed_order():
        for inputs, labels, *_ in batches:
            for key, slope in zip(wanted, gradients(inputs, labels), strict=True):
                found[key].append(products(wanted[key], weights.value(*key), slope))
    return {key: np.stack(rows) for key, rows in found.items()}


def products(part: Carrier, value: np.ndarray, gradient: Any) -> np.ndarray:
    """Sum gradient times weight over each slice.

    Args:
        part: how the weight holds filters.
        value: the weight.
        gradient: of the same shape.

    Returns:
        float64 [filters].
    """
    slope = np.asarray(tf.convert_to_tensor(gradient), dtype=np.float64)  # slices of an embedding
    return part.rows(slope * value).sum(axis=1)

"""Scores of a network, or of anything that maps images to outputs, over a finite data set."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.training.loss import CalcLoss

OutputsFn = Callable[[np.ndarray], Any]
"""`outputs_fn(images)` → outputs; for instance a `.tflite` file in its interpreter."""


class Evaluator:
    """Scores a model again and again; the graph is traced once.

    Args:
        model: a Keras model, run in inference mode, or a function of a batch of images.
        calc_loss: see `LossComposer`. A function has no variables: `calc_loss` is given one
            of value 0, so that its loss has no weight decay.

    Example:
        >>> def calc_loss(labels, outputs, trainable_vars):
        ...     return tf.reduce_mean(outputs), {"accuracy": tf.reduce_mean(labels)}
        >>> data = tf.data.Dataset.from_tensor_slices(([1.0, 2.0, 6.0], [0.0, 0.0, 1.0])).batch(2)
        >>> scores = Evaluator(lambda images: images, calc_loss)(data)
        >>> {name: round(value, 4) for name, value in scores.items()}
        {'loss': 3.0, 'accuracy': 0.3333}
    """

    def __init__(self, model: keras.Model | OutputsFn, calc_loss: CalcLoss) -> None:
        self._batch_scores = (
            _model_scores(model, calc_loss)
            if isinstance(model, keras.Model)
            else _function_scores(model, calc_loss)
        )

    def __call__(self, dataset: tf.data.Dataset) -> dict[str, float]:
        """Score one data set.

        Args:
            dataset: finite; elements are (images, labels), the last batch may be smaller.

        Returns:
            `loss` and the loss function's metrics by name: means over the images.

        Raises:
            InputError: if the data set is empty or infinite.
        """
        if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise InputError("evaluation data must end. Received an infinite dataset; use take(n).")
        totals: dict[str, float] = {}
        nb_images = 0
        for images, labels in dataset:
            size = len(keras.tree.flatten(images)[0])
            nb_images += size
            for name, value in self._batch_scores(images, labels).items():
                totals[name] = totals.get(name, 0.0) + size * float(value)
        if not nb_images:
            raise InputError("evaluation data is empty. Give at least one batch.")
        return {name: total / nb_images for name, total in totals.items()}


def _model_scores(model: Any, calc_loss: CalcLoss) -> Callable[[Any, Any], Mapping[str, Any]]:
    """Make a compiled function of (images, labels)."""

    @functools.partial(tf.function, reduce_retracing=True)
    def scores(images: Any, labels: Any) -> dict[str, Any]:
        outputs = model(images, training=False)
        loss, metrics = calc_loss(labels, outputs, model.trainable_variables)
        return {"loss": loss, **metrics}

    return scores


def _function_scores(
    outputs_fn: OutputsFn, calc_loss: CalcLoss
) -> Callable[[Any, Any], Mapping[str, Any]]:
    """Make a function of (images, labels) that is compiled from the outputs on."""
    # Not an empty list: most loss functions add up their variables with tf.add_n, which needs one.
    variables = [keras.Variable(0.0, trainable=False, name="none")]

    @functools.partial(tf.function, reduce_retracing=True)
    def scores_of_outputs(outputs: Any, labels: Any) -> dict[str, Any]:
        loss, metrics = calc_loss(labels, outputs, variables)
        return {"loss": loss, **metrics}

    def scores(images: Any, labels: Any) -> dict[str, Any]:
        arrays = keras.tree.map_structure(lambda tensor: tensor.numpy(), images)
        outputs = keras.tree.map_structure(tf.convert_to_tensor, outputs_fn(arrays))
        return scores_of_outputs(outputs, labels)

    return scores


def evaluate(
    model: keras.Model | OutputsFn, dataset: tf.data.Dataset, calc_loss: CalcLoss
) -> dict[str, float]:
    """Score a model over a data set once; see `Evaluator` for arguments and errors."""
    return Evaluator(model, calc_loss)(dataset)

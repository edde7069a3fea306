"""Scores of a network, or of anything that maps images to outputs, over a finite data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.multi_gpu_wrapper import MultiGpuWrapper
from utils.shards import Shard, shard
from utils.traced import traced
from utils.training.loss import CalcLoss
from utils.training.metrics import Scores
from utils.training.scorer import Scored, Scorer, Tally

OutputsFn = Callable[[np.ndarray], Any]
"""`outputs_fn(images)` → outputs; for instance a `.tflite` file in its interpreter."""


class Evaluator:
    """Scores a model again and again; the graph is traced once.

    Several workers each score a part of the batches, and all get the scores of the whole, to the
    bit (Keras metrics that sum fractions: to rounding); where a metric cannot be put together from
    parts, every worker scores all.

    Args:
        network: a Keras model, run in inference mode, or a function of a batch of images.
        scorer: says what is computed, see `Scorer`; a ModelHelper or its `calc_loss` will do.

    Example:
        >>> def calc_loss(labels, outputs, trainable_vars):
        ...     return tf.reduce_mean(outputs), {"accuracy": tf.reduce_mean(labels)}
        >>> data = tf.data.Dataset.from_tensor_slices(([1.0, 2.0, 6.0], [0.0, 0.0, 1.0])).batch(2)
        >>> scores = Evaluator(lambda images: images, calc_loss)(data)
        >>> {name: round(value, 4) for name, value in scores.items()}
        {'loss': 3.0, 'accuracy': 0.3333}
        >>> scores.deciding.name
        'accuracy'
    """

    def __init__(
        self, network: keras.Model | OutputsFn, scorer: Scorer | Scored | CalcLoss
    ) -> None:
        self._scorer = scorer if isinstance(scorer, Scorer) else Scorer(scorer)
        if isinstance(network, keras.Model):
            self._tally = self._scorer.tally(network.trainable_variables)
            self._run = _model_step(network, self._tally)
        else:
            self._tally = self._scorer.tally()
            self._run = _function_step(network, self._tally)

    def __call__(self, dataset: tf.data.Dataset | None = None) -> Scores:
        """Score one data set.

        Args:
            dataset: finite; elements are (images, labels), the last batch may be smaller. None for
                the helper's evaluation set.

        Returns:
            `loss` and the metrics by name, over all images, and which of them decides. The loss is
            without weight decay.

        Raises:
            InputError: if the data set is empty or infinite, or no metric can decide.
        """
        is_whole = dataset is None
        dataset = self._scorer.evaluation_set() if dataset is None else dataset
        if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise InputError("evaluation data must end. Received an infinite dataset; use take(n).")
        self._tally.reset()
        collector = self._scorer.collector(is_whole=is_whole)
        divides = collector is None and self._tally.is_additive
        part = shard(dataset) if divides else Shard(dataset, MultiGpuWrapper())
        with part.workers.failing_together():
            for images, labels in part.batches:
                outputs, values = self._run(images, labels)
                self._tally.add(values, len(keras.tree.flatten(images)[0]))
                if collector is not None:
                    collector.add(labels, outputs)
        if part.workers.size > 1:
            self._tally.add_up(part.workers)
        return self._tally.scores(None if collector is None else collector.result())


_Step = Callable[[Any, Any], tuple[Any, dict[str, Any]]]  # images, labels -> outputs, scalars


def _model_step(model: Any, tally: Tally) -> _Step:
    """Make a compiled function of (images, labels)."""

    @traced
    def step(images: Any, labels: Any) -> tuple[Any, dict[str, Any]]:
        outputs = model(images, training=False)
        return outputs, tally.traced(labels, outputs)

    def prepared(images: Any, labels: Any) -> tuple[Any, dict[str, Any]]:
        if tally.needs_shapes:
            tally.prepare(labels, model(images, training=False))
        return step(images, labels)

    return prepared


def _function_step(outputs_fn: OutputsFn, tally: Tally) -> _Step:
    """Make a function of (images, labels) that is compiled from the outputs on."""
    compiled = traced(tally.traced)

    def step(images: Any, labels: Any) -> tuple[Any, dict[str, Any]]:
        arrays = keras.tree.map_structure(lambda tensor: tensor.numpy(), images)
        outputs = keras.tree.map_structure(tf.convert_to_tensor, outputs_fn(arrays))
        tally.prepare(labels, outputs)
        return outputs, compiled(labels, outputs)

    return step


def evaluate(
    network: keras.Model | OutputsFn,
    dataset: tf.data.Dataset | None,
    scorer: Scorer | Scored | CalcLoss,
) -> Scores:
    """Score a network over a data set once; see `Evaluator` for arguments and errors."""
    return Evaluator(network, scorer)(dataset)

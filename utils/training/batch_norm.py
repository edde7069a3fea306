"""Batch-normalization statistics taken anew from data, after weights or channels have changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.multi_gpu_wrapper import current
from utils.shards import Shard, shard
from utils.traced import traced

_STALE_SHARE = 0.05


class BatchNormEstimator:
    """Re-estimates a model's moving statistics again and again; the graph is traced once.

    Each layer normalizes a batch by that batch's statistics, as in training, and gets the
    statistics of all given images together: with batches of n_i images, means m_i, variances v_i,

        mean = sum(n_i m_i) / n,   variance = sum(n_i (v_i + m_i^2)) / n - mean^2.

    There is no momentum and nothing is left of the old values. Dropout is off. Weights, seeds and
    frozen layers (`trainable=False`) stay as they are. A layer that is called at several places
    gets the statistics of its last call.

    Args:
        model: functional model, changed in place by each call.

    Reference:
        Wu & Johnson, "Rethinking 'Batch' in BatchNorm", 2021, arXiv:2105.07576, section 3.2.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._layers = _normalizations(model)
        self._moving = [v for la in self._layers for v in (la.moving_mean, la.moving_variance)]
        self._kept = [v for v in model.non_trainable_variables if not _contains(self._moving, v)]
        self._step = traced(self._sums)

    def __call__(self, dataset: tf.data.Dataset, num_batches: int, *, is_own: bool = False) -> None:
        """Set the moving statistics.

        Several workers each look at a part of the batches; all get the statistics of the whole.

        Args:
            dataset: elements are (images, labels) or images.
            num_batches: batches to use at most; with `is_own` of each worker.
            is_own: the data are this worker's part already, as those for training are.

        Raises:
            InputError: if the data set is empty or `num_batches` not positive.
        """
        if num_batches < 1:
            raise InputError(f"`num_batches` must be at least 1. Received: {num_batches}.")
        if not self._layers:
            return
        kept = [tf.identity(variable.value) for variable in self._kept]
        num_images, totals = 0, [tf.zeros(variable.shape, tf.float64) for variable in self._moving]
        batches = dataset.take(num_batches)
        part = Shard(batches, current()) if is_own else shard(batches)
        with (
            part.workers.failing_together(),
            _momentum_free(self._layers),
            _dropout_off(self._model),
        ):
            for element in part.batches:
                images = element[0] if isinstance(element, tuple) else element
                size = len(keras.tree.flatten(images)[0])
                num_images += size
                totals = [t + size * s for t, s in zip(totals, self._step(images), strict=True)]
        sums = part.workers.sum_arrays([np.array(num_images), *map(np.asarray, totals)])
        num_images, totals = int(sums[0]), list(map(tf.constant, sums[1:]))
        if not num_images:
            raise InputError("data for batch normalization is empty. Give at least one batch.")
        self._assign([total / num_images for total in totals])
        for variable, value in zip(self._kept, kept, strict=True):
            variable.assign(value)

    def _sums(self, images: Any) -> list[tf.Tensor]:
        """Mean and mean square of each layer's inputs in one batch."""
        self._model(images, training=True)
        sums = []
        for layer in self._layers:  # without momentum these are the batch's own statistics
            mean = tf.cast(layer.moving_mean.value, tf.float64)
            sums += [mean, tf.cast(layer.moving_variance.value, tf.float64) + mean**2]
        return sums

    def _assign(self, means: list[tf.Tensor]) -> None:
        for layer, mean, square in zip(self._layers, means[::2], means[1::2], strict=True):
            layer.moving_mean.assign(tf.cast(mean, layer.moving_mean.dtype))
            variance = tf.maximum(square - mean**2, 0.0)  # rounding may give -1e-17 for a constant
            layer.moving_variance.assign(tf.cast(variance, layer.moving_variance.dtype))


def reestimate_batch_norm(
    model: keras.Model, dataset: tf.data.Dataset, num_batches: int, *, is_own: bool = False
) -> None:
    """Set a model's moving statistics from data once; see `BatchNormEstimator`."""
    BatchNormEstimator(model)(dataset, num_batches, is_own=is_own)


class StatisticsRefresher(keras.callbacks.Callback):
    """Re-estimates the moving statistics at the end of a run too short for them to follow.

    After n steps a statistic of momentum m still holds a share m^n of the value from before. Above
    a twentieth (with 0.99: fewer than 299 steps) they are taken anew.

    Args:
        make_images: gives the data set that they are taken from: this worker's.
        num_batches: batches of it to use at most, of each worker.
        num_steps: steps of the whole run. One that ends earlier is left as it is.
    """

    def __init__(
        self, make_images: Callable[[], tf.data.Dataset], *, num_batches: int, num_steps: int
    ) -> None:
        super().__init__()
        self._make_images = make_images
        self._num_batches = num_batches
        self._num_steps = num_steps

    def on_train_end(self, logs: Any = None) -> None:
        """Take them anew, before the state is saved for the last time."""
        network = self.model.network
        done = int(self.model.optimizer.iterations) >= self._num_steps
        if done and statistics_lag(network, self._num_steps):
            images = self._make_images()
            reestimate_batch_norm(network, images, self._num_batches, is_own=True)


def statistics_lag(model: keras.Model, num_steps: int) -> bool:
    """Whether training is too short for a model's moving statistics, see `StatisticsRefresher`.

    Args:
        model: that is trained.
        num_steps: of the training; nothing lags behind none.
    """
    momenta = [layer.momentum for layer in _normalizations(model)]
    return num_steps > 0 and max(momenta, default=0.0) ** num_steps > _STALE_SHARE


def _normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """List the layers whose statistics training moves."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


def _contains(variables: list[Any], variable: Any) -> bool:
    return any(variable is other for other in variables)


@contextlib.contextmanager
def _momentum_free(layers: list[keras.layers.BatchNormalization]) -> Iterator[None]:
    """Let the moving statistics be those of the latest batch; matters when the graph is traced."""
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


@contextlib.contextmanager
def _dropout_off(model: keras.Model) -> Iterator[None]:
    """Let Dropout and its kin pass everything; matters when the graph is traced."""
    kinds = (
        keras.layers.Dropout,
        keras.layers.GaussianDropout,
        keras.layers.AlphaDropout,
    )
    layers = [la for la in model._flatten_layers(include_self=False) if isinstance(la, kinds)]
    rates = [layer.rate for layer in layers]
    for layer in layers:
        layer.rate = 0.0
    try:
        yield
    finally:
        for layer, rate in zip(layers, rates, strict=True):
            layer.rate = rate

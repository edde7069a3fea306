"""Scoring candidates: one traced network of fixed shape, whose weights are assigned.

Nothing is built or traced again for a roll-out, so it costs the evaluation.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from learners.search.rewards import Score
from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError
from utils.graph import Graph, to_keras
from utils.shards import counted
from utils.traced import traced
from utils.training import BatchNormEstimator, Evaluator, Scores

BATCH_SIZE = 250
NUM_FINAL = 1000  # images for the last comparison, of a helper that holds none out

Weight = tuple[str, str]
"""(layer, weight), by their names in the graph."""
Masks = Mapping[Weight, np.ndarray]
"""What may change while a candidate is tuned: of the weight's shape, True = it may; else all."""


def held_out_images(
    helper: AbstractModelHelper, num_search: int, num_sampled: int, *, final: bool = False
) -> tuple[tf.data.Dataset, bool]:
    """Find training images on which candidates are compared; never test images.

    Args:
        helper: gives the data.
        num_search: images that roll-outs are scored on, at most.
        num_sampled: training images that statistics are taken from.
        final: give those for the comparison of the fine-tuned networks instead: others than the
            roll-outs were scored on, whose luck the winner had; the same where few are left.

    Returns:
        Batches (images, labels), kept in memory, and whether they are held out from training. A
        helper that holds nothing out gives training images that the statistics are not taken from,
        as far as it has that many.
    """
    try:
        images = helper.build_dataset_train(enbl_trn_val_split=True)[1].unbatch()
        held_out = True
    except InputError:  # the helper cannot split
        wanted = num_sampled + num_search + NUM_FINAL
        images = helper.build_dataset_calibration(wanted).unbatch().skip(num_sampled)
        held_out = False
    if final:
        others = images.skip(num_search)
        images = others if _has(others, BATCH_SIZE) else images
    else:
        images = images.take(num_search)
    return counted(images.batch(BATCH_SIZE).cache()), held_out


def _has(images: tf.data.Dataset, number: int) -> bool:
    return sum(1 for _ in images.take(number)) == number


class NetworkScorer:
    """Scores a network under other weights; see the module.

    Args:
        graph: the network, untouched.
        helper: loss and metrics.
        images: batches (images, labels) to score on.

    Attributes:
        model: the network as Keras; its weights are assigned.
        original: its weights as they came, by name.
    """

    def __init__(self, graph: Graph, helper: AbstractModelHelper, images: tf.data.Dataset) -> None:
        self.model = to_keras(graph)
        self._images = images
        self._weights = dict(_named_variables(graph, self.model))
        self.original = {key: np.array(weight) for key, weight in self._weights.items()}
        self._evaluate = Evaluator(self.model, helper)
        self._before: list[Callable[[Callable[[], Masks]], None]] = []
        self._assigned: set[Weight] = set()

    def whole(self) -> Scores:
        """Score the network as it came; only before the first candidate."""
        return self._evaluate(self._images)

    def estimate_batch_norm(self, images: tf.data.Dataset) -> None:
        """Have every candidate's batch-norm statistics taken anew from these batches."""
        estimator, batches = BatchNormEstimator(self.model), counted(images.cache())
        num_batches = sum(1 for _ in batches)
        self._before.append(lambda masks: estimator(batches, num_batches))

    def tune(self, tuner: "BriefTuning") -> None:
        """Have every candidate trained briefly before it is scored."""
        self._before.append(
            lambda masks: tuner({self._weights[key].path: m for key, m in masks().items()})
        )

    def score(
        self, values: Mapping[Weight, np.ndarray], masks: Callable[[], Masks] = dict
    ) -> Score:
        """Score the network with some of its weights replaced, the others as they were.

        Args:
            values: the weights that are replaced.
            masks: gives what may change while it is tuned; called only where it is.

        Returns:
            Of its deciding metric and its loss.
        """
        stale = self.original.keys() if self._before else self._assigned - values.keys()
        for key in stale - values.keys():
            self._weights[key].assign(self.original[key])
        for key, value in values.items():
            self._weights[key].assign(value)
        self._assigned = set(values)
        for prepare in self._before:
            prepare(masks)
        return Score.of(self._evaluate(self._images))


def _named_variables(graph: Graph, model: keras.Model) -> Iterator[tuple[Weight, keras.Variable]]:
    """Give all of a network's variables by layer and the graph's name, in Keras' own order."""
    for layer in model.layers:
        names = list(graph.params.get(layer.name, ()))
        for name, weight in zip(names, layer.weights, strict=True):
            yield (layer.name, name), weight
        known = {id(weight) for weight in layer.weights}
        for variable in layer.variables:  # the seeds of Dropout too
            if id(variable) not in known:
                yield (layer.name, variable.path), variable


class BriefTuning:
    """A few training steps of a candidate.

    The next candidate has every weight assigned anew, so nothing of it stays.

    Args:
        model: what is trained.
        helper: loss and training batches.
        num_steps: steps; every candidate sees the same batches.
        lrn_rate: initial rate of SGD with the helper's momentum; falls to zero in a line.
    """

    def __init__(
        self, model: keras.Model, helper: AbstractModelHelper, num_steps: int, lrn_rate: float
    ) -> None:
        self._model = model
        self._batches = _training_batches(helper).take(num_steps).cache()
        self._num_steps = num_steps
        self._lrn_rate = lrn_rate
        self._momentum = helper.config.momentum
        self._calc_loss = helper.calc_loss
        self._masks = [tf.Variable(tf.ones_like(v)) for v in self._model.trainable_variables]
        self._speeds = [tf.Variable(tf.zeros_like(v)) for v in self._model.trainable_variables]
        self._step = traced(self._train_step)

    def __call__(self, masks: Mapping[str, np.ndarray]) -> None:
        """Train; what `masks`, by a variable's path, switches off stays as it is."""
        for variable, mask in zip(self._model.trainable_variables, self._masks, strict=True):
            alive = masks.get(variable.path, np.ones(variable.shape))
            mask.assign(alive.astype(np.float32))
        for speed in self._speeds:
            speed.assign(tf.zeros_like(speed))
        for number, (images, labels) in enumerate(self._batches):
            share = 1.0 - (number + 0.5) / self._num_steps
            self._step(images, labels, tf.constant(self._lrn_rate * share, tf.float32))

    def _train_step(self, images: Any, labels: Any, lrn_rate: tf.Tensor) -> None:
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = self._model(images, training=True)
            loss, _ = self._calc_loss(labels, outputs, variables)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        for variable, speed, mask, gradient in zip(
            variables, self._speeds, self._masks, gradients, strict=True
        ):
            if gradient is not None:
                speed.assign(self._momentum * speed - lrn_rate * mask * gradient)
                variable.assign_add(speed)


def _training_batches(helper: AbstractModelHelper) -> tf.data.Dataset:
    with helper.undivided():  # every worker trains the candidate, all alike
        try:
            return helper.build_dataset_train(enbl_trn_val_split=True)[0]
        except InputError:  # the helper cannot split
            return helper.build_dataset_train()

"""Scoring candidates: one traced network of fixed shape, whose kernels are looked up and assigned.

Channels are not cut for a roll-out but given zero kernel rows in every layer that reads them, which
computes the same. So nothing is built or traced again; a roll-out costs the evaluation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from learners.base import AbstractLearner
from learners.channels.axes import dropped, read_axes
from learners.channels.tables import ChannelTables
from learners.reconstruction.sampling import Sampler
from learners.search.rewards import Score, refuse_blind
from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError
from utils.graph import ChannelGroup, Graph, to_keras
from utils.training import BatchNormEstimator, Evaluator, Scores

BATCH_SIZE = 250
NUM_FINAL = 1000  # images for the last comparison, of a helper that holds none out


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
    return images.batch(BATCH_SIZE).cache(), held_out


def _has(images: tf.data.Dataset, number: int) -> bool:
    return sum(1 for _ in images.take(number)) == number


class ChannelScorer:
    """Scores candidates; see the module.

    Args:
        graph: the whole network.
        groups: the groups (or segments) that are chosen for.
        tables: their orders and kernels.
        helper: loss and metrics.
        images: batches (images, labels) to score on.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Sequence[ChannelGroup],
        tables: ChannelTables,
        helper: AbstractModelHelper,
        images: tf.data.Dataset,
    ) -> None:
        self._graph = graph
        self._groups = tuple(groups)
        self._tables = tables
        self._images = images
        self.model = to_keras(graph)
        self._weights = dict(_named_variables(graph, self.model))
        self._original = {key: np.array(weight) for key, weight in self._weights.items()}
        self._evaluate = Evaluator(self.model, helper)
        self._before: list[Callable[[Mapping[str, int]], None]] = []

    def whole(self) -> Scores:
        """Score the network as it came; only before the first candidate."""
        return self._evaluate(self._images)

    def estimate_batch_norm(self, images: tf.data.Dataset) -> None:
        """Have every candidate's batch-norm statistics taken anew from these batches."""
        estimator, batches = BatchNormEstimator(self.model), images.cache()
        num_batches = sum(1 for _ in batches)
        self._before.append(lambda counts: estimator(batches, num_batches))

    def tune(self, tuner: "BriefTuning") -> None:
        """Have every candidate trained briefly before it is scored."""
        self._before.append(
            lambda counts: tuner(
                {self._weights[key].path: rows for key, rows in self._dead_rows(counts).items()}
            )
        )

    def __call__(self, counts: Mapping[str, int]) -> Score:
        """Score a candidate.

        Args:
            counts: group name -> channels that stay.

        Returns:
            Of its deciding metric and its loss.
        """
        self._assign(counts)
        for prepare in self._before:
            prepare(counts)
        return Score.of(self._evaluate(self._images))

    def _assign(self, counts: Mapping[str, int]) -> None:
        """Give every reading layer its kernel; all else is as in the whole network."""
        values = dict(self._original) if self._before else {}
        refitted: set[tuple[str, str]] = set()
        for name, reading in self._tables.readings.items():
            kernel, offset = self._tables.refit(name, counts)
            values |= reading.refitted(kernel, offset, lambda *key: self._original[key])
            refitted.update((reading.layer, weight) for weight in reading.kernels)
        for key, (rows, axis) in self._dead_rows(counts).items():
            if key not in refitted:
                changed = self._original[key].copy()
                np.moveaxis(changed, axis, 0)[rows] = 0.0
                values[key] = changed
        for key, value in values.items():
            self._weights[key].assign(value)

    def _dead_rows(
        self, counts: Mapping[str, int]
    ) -> dict[tuple[str, str], tuple[np.ndarray, int]]:
        """Say which input channels of which kernels are dropped: mask and axis by weight."""
        dead: dict[tuple[str, str], tuple[np.ndarray, int]] = {}
        for group in self._groups:
            mask = self._tables.mask(group.name, counts[group.name])
            for layer, weight, axis, channels in read_axes(self._graph, group):
                gone, known = dropped(channels, mask), dead.get((layer, weight))
                dead[layer, weight] = (gone if known is None else gone | known[0], axis)
        return dead


def _named_variables(
    graph: Graph, model: keras.Model
) -> Iterator[tuple[tuple[str, str], keras.Variable]]:
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
    """A few training steps of a candidate, dropped rows kept at zero.

    The next candidate assigns every weight anew, so nothing of it stays.

    Args:
        scorer: whose network is trained.
        helper: loss and training batches.
        num_steps: steps; every candidate sees the same batches.
        lrn_rate: initial rate of SGD with the helper's momentum; falls to zero in a line.
    """

    def __init__(
        self, scorer: ChannelScorer, helper: AbstractModelHelper, num_steps: int, lrn_rate: float
    ) -> None:
        self._model = scorer.model
        self._batches = _training_batches(helper).take(num_steps).cache()
        self._num_steps = num_steps
        self._lrn_rate = lrn_rate
        self._momentum = helper.config.momentum
        self._calc_loss = helper.calc_loss
        self._masks = [tf.Variable(tf.ones_like(v)) for v in self._model.trainable_variables]
        self._speeds = [tf.Variable(tf.zeros_like(v)) for v in self._model.trainable_variables]
        self._step = tf.function(self._train_step, reduce_retracing=True)

    def __call__(self, dead: Mapping[str, tuple[np.ndarray, int]]) -> None:
        """Train; `dead` says, by a variable's path, which rows along which axis stay zero."""
        for variable, mask in zip(self._model.trainable_variables, self._masks, strict=True):
            alive = np.ones(variable.shape, np.float32)
            if variable.path in dead:
                rows, axis = dead[variable.path]
                np.moveaxis(alive, axis, 0)[rows] = 0.0
            mask.assign(alive)
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
    try:
        return helper.build_dataset_train(enbl_trn_val_split=True)[0]
    except InputError:  # the helper cannot split
        return helper.build_dataset_train()


def make_scorer(
    learner: AbstractLearner, graph: Graph, groups: Sequence[ChannelGroup], sampler: Sampler
) -> ChannelScorer:
    """Build a learner's tables and set its scorer up as the flags say.

    Args:
        learner: its config has `searching` and `criterion`.
        graph: the whole network.
        groups: the groups that are chosen for.
        sampler: training images for the tables.

    Returns:
        The scorer.
    """
    config = learner.config
    with learner.timed("tables"):
        tables = ChannelTables(graph, groups, sampler, criterion=config.criterion)
    images, _ = held_out_images(learner.helper, config.searching.nb_smpls_search, config.nb_smpls)
    scorer = ChannelScorer(graph, groups, tables, learner.helper, images)
    refuse_blind(scorer.whole(), config.searching.reward_policy)
    if config.searching.nb_iters_tune:
        lrn_rate = learner.context.run.lrn_rate_ft
        scorer.tune(BriefTuning(scorer, learner.helper, config.searching.nb_iters_tune, lrn_rate))
    if config.searching.nb_smpls_bn:
        scorer.estimate_batch_norm(
            learner.helper.build_dataset_calibration(config.searching.nb_smpls_bn)
        )
    return scorer

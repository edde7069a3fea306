"""The one place where a helper is asked for loss and metrics: over a whole set, for any outputs.

The outputs may come from a Keras model, from an exported file in its interpreter, from a candidate
of a search: they are scored the same. Three kinds of metrics are known.

| Where a helper gives it | Over the set |
|:--|:--|
| `calc_loss` | scalars of a batch: their mean over the images |
| `build_metrics` | Keras metrics: their state sees every batch, the result comes once |
| `dump_n_eval` | whatever the helper collects; the result comes once |

The loss is the helper's alone: `calc_loss` is given variables of value 0, so that neither weight
decay nor any other penalty on them is in it, and a network with fewer weights gains nothing by it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.multi_gpu_wrapper import MultiGpuWrapper
from utils.traced import traced
from utils.training.additive import exact_sum, is_additive
from utils.training.loss import CalcLoss
from utils.training.metrics import LOSS, Metric, Scores, choose, described, scalar, the_accuracy


class Scored(Protocol):
    """What of a ModelHelper is used here; see `nets.abstract_model_helper`."""

    @property
    def calc_loss(self) -> CalcLoss:
        """Compute loss and scalar metrics of a batch."""

    @property
    def dump_n_eval(self) -> Callable[..., Mapping[str, float]]:
        """Collect outputs; give their metrics."""

    @property
    def deciding_metric(self) -> tuple[str | None, str | None]:
        """Name and mode of the metric that decides."""

    @property
    def collects_outputs(self) -> bool:
        """Whether there is a `dump_n_eval`."""

    @property
    def collects_labels(self) -> bool:
        """Whether it takes labels."""

    def build_metrics(self) -> Sequence[keras.metrics.Metric]:
        """Make the Keras metrics, with a state of their own."""

    def postprocess(self, outputs: Any) -> Any:
        """Decode outputs."""

    def build_dataset_eval(self) -> tf.data.Dataset:
        """Build the evaluation set."""


class Scorer:
    """Says how networks are scored, as one helper wants it; `evaluate` does it.

    Args:
        helper: a ModelHelper; or just its `calc_loss`, whose accuracy, or else loss, then decides.
    """

    def __init__(self, helper: Scored | CalcLoss) -> None:
        given: Any = helper
        self._helper: Scored | None = given if hasattr(given, "calc_loss") else None
        self.calc_loss: CalcLoss = getattr(given, "calc_loss", given)
        self._wanted = (None, None) if self._helper is None else self._helper.deciding_metric
        self._deciding: Metric | None = None
        self._stand_ins: list[keras.Variable] = []

    @property
    def deciding(self) -> Metric:
        """The metric that networks are compared by; known from the first scores on.

        Raises:
            RuntimeError: before.
        """
        if self._deciding is None:
            raise RuntimeError("the deciding metric is known once a network was scored.")
        return self._deciding

    def tally(self, variables: Sequence[Any] = ()) -> Tally:
        """Begin to score a network, batch by batch.

        Args:
            variables: the trainable ones of the network, whose names `calc_loss` may look at;
                without them those of the network before.
        """
        if variables or not self._stand_ins:
            self._stand_ins = stand_ins(variables)
        metrics = [] if self._helper is None else list(self._helper.build_metrics())
        return Tally(self, metrics, self._stand_ins)

    def evaluation_set(self) -> tf.data.Dataset:
        """Build the helper's evaluation set.

        Raises:
            ValueError: where there is only a loss function.
        """
        if self._helper is None:
            raise ValueError("`dataset` must be given: a loss function has no evaluation set.")
        return self._helper.build_dataset_eval()

    @property
    def collects(self) -> bool:
        """Whether the helper has metrics that need the outputs of the whole evaluation set."""
        return self._helper is not None and self._helper.collects_outputs

    def collector(self, *, is_whole: bool) -> Collector | None:
        """Begin to collect outputs for `dump_n_eval`.

        Args:
            is_whole: whether they are those of the helper's evaluation set, all in order.

        Returns:
            None where the helper collects none, or not from this set: without the argument
            `labels` it knows the evaluation set only.
        """
        helper = self._helper
        if helper is None or not self.collects:
            return None
        return Collector(helper) if is_whole or helper.collects_labels else None

    def scores(
        self, values: Mapping[str, float], known: Mapping[str, Metric], *, is_complete: bool
    ) -> Scores:
        """Join values with what is known of them; settles what decides.

        Args:
            values: of all metrics, by name.
            known: their facts.
            is_complete: False where `dump_n_eval` would give more over the evaluation set.

        Raises:
            InputError: if the metric that shall decide is not there, or its direction not known.
        """
        wanted, mode = self._wanted
        if wanted is not None and wanted not in known and not is_complete:
            known = {**known, wanted: scalar(wanted)}  # it may be among those that come later
        self._deciding = choose(known, wanted, mode)
        return Scores(values, self._deciding, the_accuracy(known))


class Tally:
    """Scores of one network, added up batch by batch; made by `Scorer.tally`."""

    def __init__(
        self, scorer: Scorer, metrics: Sequence[keras.metrics.Metric], variables: Sequence[Any]
    ) -> None:
        self._scorer = scorer
        self._metrics = tuple(metrics)
        self._variables = tuple(variables)
        self._update = traced(self.traced)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._summands: dict[str, list[float]] = {}
        self.num_samples = 0
        for metric in self._metrics:
            metric.reset_state()

    @property
    def needs_shapes(self) -> bool:
        """Whether a metric makes its variables only when it sees a batch."""
        return any(not metric.variables for metric in self._metrics)

    def prepare(self, labels: Any, outputs: Any) -> None:
        """Let such metrics make their variables, which has to come before `traced`.

        Args:
            labels: of a batch.
            outputs: of the network for it.
        """
        for metric in self._metrics:
            if not metric.variables:
                with keras.StatelessScope():  # nothing is counted
                    traced(metric.update_state).get_concrete_function(
                        *(keras.tree.map_structure(_spec, part) for part in (labels, outputs))
                    )

    def traced(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """Compute a batch's scalars and let the metrics see it; may be inside a `tf.function`."""
        loss, metrics = self._scorer.calc_loss(labels, outputs, self._variables)
        for metric in self._metrics:
            metric.update_state(labels, outputs)
        return {LOSS: loss, **metrics}

    def add(self, values: Mapping[str, Any], size: int) -> None:
        """Add what `traced` gave for a batch of `size` samples."""
        self.num_samples += size
        for name, value in values.items():
            self._summands.setdefault(name, []).append(size * float(value))

    def update(self, labels: Any, outputs: Any) -> None:
        """Add a batch.

        Args:
            labels: as the data set gives them.
            outputs: of the network, on any device; in the structure of the network's outputs.
        """
        outputs = keras.tree.map_structure(tf.convert_to_tensor, outputs)
        self.prepare(labels, outputs)
        size = int(keras.tree.flatten(outputs)[0].shape[0])
        self.add(self._update(labels, outputs), size)

    @property
    def is_additive(self) -> bool:
        """Whether what several workers counted can be added up."""
        return all(map(is_additive, self._metrics))

    def add_up(self, workers: MultiGpuWrapper) -> None:
        """Add what the other workers counted, each in batches of its own."""
        parts = workers.gather([self.num_samples, self._summands])
        self.num_samples = sum(number for number, _ in parts)
        self._summands = {name: [] for name in parts[0][1]}
        for _, summands in parts:
            for name, own in summands.items():
                self._summands[name] += own
        variables = [variable for metric in self._metrics for variable in metric.variables]
        totals = workers.sum_arrays([np.asarray(variable) for variable in variables])
        for variable, total in zip(variables, totals, strict=True):
            variable.assign(total)

    def scores(self, collected: Mapping[str, Any] | None = None) -> Scores:
        """Give the scores of all batches.

        Args:
            collected: what `dump_n_eval` gave, if anything.

        Raises:
            InputError: without a batch; or see `Scorer.scores`.
        """
        if not self.num_samples:
            raise InputError("evaluation data is empty. Give at least one batch.")
        values = {name: exact_sum(own) / self.num_samples for name, own in self._summands.items()}
        known = {name: scalar(name) for name in values}
        for metric in self._metrics:
            for name, value, facts in _results(metric):
                values[name], known[name] = value, facts
        for name, value in (collected or {}).items():
            values[name], known[name] = float(value), scalar(name)
        is_complete = collected is not None or not self._scorer.collects
        return self._scorer.scores(values, known, is_complete=is_complete)


class Collector:
    """Hands a helper's `dump_n_eval` the outputs of a set, in the documented order of calls."""

    def __init__(self, helper: Scored) -> None:
        self._helper = helper
        helper.dump_n_eval(outputs=None, action="init")

    def add(self, labels: Any, outputs: Any) -> None:
        """Hand over a batch, decoded."""
        given = {"labels": labels} if self._helper.collects_labels else {}
        decoded = self._helper.postprocess(outputs)
        self._helper.dump_n_eval(outputs=decoded, action="dump", **given)

    def result(self) -> dict[str, float]:
        """Ask for the metrics."""
        return dict(self._helper.dump_n_eval(outputs=None, action="eval") or {})


def stand_ins(variables: Sequence[Any] = ()) -> list[keras.Variable]:
    """Make variables of value 0 for a `calc_loss` that adds up some function of them.

    A list that is empty would not do: most loss functions use `tf.add_n`, which needs one entry.

    Args:
        variables: those that they stand for, by name, path and rank; none for those of a layer.

    Returns:
        Small variables, not trainable.
    """
    likes = [(variable.path, len(variable.shape)) for variable in variables]
    return [_stand_in(path, rank) for path, rank in likes or [("none/kernel", 2), ("none/bias", 1)]]


def _stand_in(path: str, rank: int) -> keras.Variable:
    name = path.rpartition("/")[2]
    made = keras.Variable(np.zeros([1] * rank, np.float32), trainable=False, name=name)
    made._path = path  # else it comes from the scopes that are open
    return made


def _spec(tensor: Any) -> tf.TensorSpec:
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)


def _results(metric: keras.metrics.Metric) -> list[tuple[str, float, Metric]]:
    """List a metric's results: one, several by name, or one per class."""
    facts = getattr(metric, "facts", None)  # one that stands for several knows them itself
    result = metric.result()
    by_name = result if isinstance(result, Mapping) else {metric.name: result}
    rows = []
    for name, value in by_name.items():
        known = facts()[name] if facts is not None else described(name, metric)
        array = np.asarray(value, np.float64)
        if array.ndim == 0:
            rows.append((name, float(array), known))
            continue
        for index, entry in enumerate(array.ravel()):
            of_class = f"{name}_{index}"
            rows.append((of_class, float(entry), _of_class(known, of_class)))
    return rows


def _of_class(known: Metric, name: str) -> Metric:
    return dataclasses.replace(known, name=name, is_accuracy=False, is_partial=True)

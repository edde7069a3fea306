"""Loss and metrics of a compiled Keras model, for outputs that come from anywhere.

Keras itself resolves them: a model without layers is compiled with the same arguments, and its
public `compute_loss` and `compute_metrics` are called. So names ("accuracy" by loss and shapes),
functions, objects, lists and dicts per output, loss weights, weighted metrics and sample weights
mean what they mean in `compile` and `evaluate`.

The metric objects are the caller's own, live: a copy from their config would lose what the config
of a subclass does not tell. They are only ever called in a `StatelessScope`, so that their state
stays as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from datasets.given import unpacked
from utils.causes import explanation
from utils.errors import InputError
from utils.training.additive import is_additive
from utils.training.metrics import Metric, described


class CompiledScores:
    """What a model was compiled with.

    Args:
        arguments: of `compile`: `loss`, `loss_weights`, `metrics`, `weighted_metrics`.
        output_names: of the model, None where it has none.
        labels: specs of the labels as they are in a batch, see `datasets.given`.
        outputs: symbolic outputs of the model, in its structure.
        extra: name of a metric that the caller did not ask for.

    Attributes:
        facts: what is known of each metric, by the name that `evaluate` gives it.

    Raises:
        InputError: if loss and metrics do not fit these labels and outputs.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any],
        output_names: list[str] | None,
        labels: Any,
        outputs: Any,
        extra: str | None = None,
    ) -> None:
        self._model = _Compiled(output_names)
        try:
            self._model.compile(optimizer=None, jit_compile=False, **arguments)
            self._build(labels, outputs)
        except Exception as error:  # Keras' own, or the user's functions on tensors without values
            raise InputError(
                "the compiled loss and metrics do not fit the labels "
                f"{keras.tree.map_structure(lambda spec: spec.shape, labels)} and the outputs "
                f"{keras.tree.map_structure(lambda tensor: tensor.shape, outputs)}, or cannot run "
                f"in a graph: {explanation(_first(error))}"
            ) from error
        self._has_parts = len(keras.tree.flatten(outputs)) > 1
        self.facts = self._facts(extra)
        # Means over samples: their mean over the batches is right too.
        self._means = {name: metric for name, metric in self._by_name().items() if _is_mean(metric)}

    def _build(self, labels: Any, outputs: Any) -> None:
        """Let Keras resolve names and make variables; nothing is counted."""
        specs = keras.tree.map_structure(
            lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), outputs
        )
        with keras.StatelessScope():
            # As in Keras, Python's own branches and errors stay what they are.
            tf.function(self._see, autograph=False).get_concrete_function(labels, specs)

    def _see(self, labels: Any, outputs: Any) -> None:
        """Update all metrics, also the running losses of several outputs."""
        y, weights = unpacked(labels)
        # Keras weighs those losses by the batch's size where it is static. As in `evaluate` it is
        # not, so that a file that is run batch by batch is scored like the model.
        outputs = keras.tree.map_structure(_open_batch, outputs)
        self._model.compute_loss(None, y, outputs, weights, training=False)
        self._model.compute_metrics(None, y, outputs, weights)

    def loss(self, labels: Any, outputs: Any) -> Any:
        """Compute the mean loss of a batch, as Keras does, without penalties on weights.

        Args:
            labels: as they are in a batch.
            outputs: of the model, in its structure.

        Returns:
            A scalar.
        """
        y, weights = unpacked(labels)
        with keras.StatelessScope():  # the running losses of the outputs stay out of it
            return self._model.compute_loss(None, y, outputs, weights)

    def means(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """Compute the metrics of a batch that are means over samples, by name."""
        y, weights = unpacked(labels)
        variables = self.variables
        with keras.StatelessScope(zip(variables, self.fresh(), strict=True)):
            self._model.compute_metrics(None, y, outputs, weights)
            return {name: metric.result() for name, metric in self._means.items()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics, but the running losses of several outputs, which are means."""
        return list(self._by_name().values())

    @property
    def variables(self) -> list[keras.Variable]:
        """The metrics' state; the caller's, not to be changed."""
        return self._model.metrics_variables

    def fresh(self) -> list[Any]:
        """Give the values of that state before the first batch."""
        variables = self.variables
        with keras.StatelessScope() as scope:
            self._model.reset_metrics()
        return [scope.get_current_value(variable) for variable in variables]

    def update(self, state: list[Any], labels: Any, outputs: Any) -> list[Any]:
        """Add a batch to a state, see `fresh`; gives the new one. Inside a `tf.function`."""
        variables = self.variables
        with keras.StatelessScope(zip(variables, state, strict=True)) as scope:
            self._see(labels, outputs)
        return [scope.get_current_value(variable) for variable in variables]

    def results(self, state: list[Any]) -> dict[str, Any]:
        """Give the metrics of a state, by the names of `evaluate`; not the loss."""
        with keras.StatelessScope(zip(self.variables, state, strict=True)):
            return {
                name: value
                for name, value in self._model.get_metrics_result().items()
                if name != "loss"
            }

    def _by_name(self) -> dict[str, keras.metrics.Metric]:
        """Find the object behind each name: both stand in the same order."""
        compiled = [metric for metric in self._model.metrics if metric.name == "compile_metrics"]
        objects = [metric for each in compiled for metric in each.metrics]
        names = [name for each in compiled for name in each.result()]
        return dict(zip(names, objects, strict=True))

    def _facts(self, extra: str | None) -> dict[str, Metric]:
        by_name = self._by_name()
        facts = {}
        for name in self.results(self.fresh()):
            if name not in by_name and name.endswith("_loss") and self._has_parts:
                facts[name] = Metric(name=name, higher_is_better=False, is_partial=True)
                continue
            known = described(name, by_name.get(name), is_partial=self._has_parts)
            facts[name] = dataclasses.replace(known, is_extra=name == extra)
        return facts


class CompiledMetrics(keras.metrics.Metric):
    """The metrics of a compiled model as one, with a state of its own.

    Its result is a dict by the names that `evaluate` gives.
    """

    def __init__(self, compiled: CompiledScores) -> None:
        super().__init__(name="compiled")
        self._compiled = compiled
        self._state = [
            self.add_variable(variable.shape, "zeros", dtype=variable.dtype, name=variable.name)
            for variable in compiled.variables
        ]
        self._update = tf.function(self._update_in_graph, autograph=False, reduce_retracing=True)
        self.reset_state()

    def facts(self) -> dict[str, Metric]:
        """Tell what is known of each metric."""
        return self._compiled.facts

    @property
    def is_additive(self) -> bool:
        """Whether the states of several workers add up to that of the whole set."""
        return all(map(is_additive, self._compiled.metrics))

    def reset_state(self) -> None:
        """Forget all batches."""
        for variable, value in zip(self._state, self._compiled.fresh(), strict=True):
            variable.assign(value)

    def update_state(self, labels: Any, outputs: Any) -> None:
        """Add a batch."""
        self._update(labels, outputs)

    def _update_in_graph(self, labels: Any, outputs: Any) -> None:
        values = self._compiled.update([v.value for v in self._state], labels, outputs)
        for variable, value in zip(self._state, values, strict=True):
            variable.assign(value)

    def result(self) -> dict[str, Any]:
        """Give all metrics by name."""
        return self._compiled.results([v.value for v in self._state])


class _Compiled(keras.Model):
    """A model of nothing but its compile arguments."""

    def __init__(self, output_names: list[str] | None) -> None:
        super().__init__(name="compiled_scores")
        if output_names is not None:
            self.output_names = output_names


def _is_mean(metric: keras.metrics.Metric) -> bool:
    return type(metric).result is keras.metrics.Mean.result


def _open_batch(tensor: Any) -> Any:
    return tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=(None, *tensor.shape[1:]))


def _first(error: BaseException) -> BaseException:
    """Find the error that came first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error

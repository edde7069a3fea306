"""The Keras model that `fit` drives: it wraps the network, which stays free of our classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.graph.keras_reading import functional_model
from utils.multi_gpu_wrapper import MultiGpuWrapper, current
from utils.traced import traced
from utils.training.inner import with_layers
from utils.training.loss import CalcLoss, LossComposer


class Trainee(keras.Model):
    """A network together with its loss; training and validation are Keras' own.

    Args:
        network: the model to train.
        loss: its loss. Validation uses the helper's part alone.
        element_spec: of the training data, (images, labels).
        plain: the network that is saved, where `network` has wrappers or auxiliary heads around
            it. The helper's loss is given its outputs, the first of `network`, and those of its
            variables that are trained; the terms' layers are looked up in `network`.

    Raises:
        InputError: if the data are no pairs.
        ValueError: if a term needs a layer that is not there or has the name of another metric, or
            `network` has fewer outputs than `plain`.
    """

    def __init__(
        self,
        network: keras.Model,
        loss: LossComposer,
        element_spec: Any,
        plain: keras.Model | None = None,
    ) -> None:
        super().__init__(name="trainee")
        self.network = network
        self.composer = loss
        self._with_layers = with_layers(network, loss.needs) if loss.needs else None
        # Functions, not the model itself: Keras would take it for a layer of this one.
        self._own_outputs = _chooser_of_outputs(network, plain)
        self._decayed = _chooser_of_variables(network, plain)
        self.loss_metrics = {
            name: keras.metrics.Mean(name=name)
            for name in _metric_names(loss, self._decayed(), plain or network, element_spec)
        }
        self.built = True
        self.workers = current()
        self.validated_by = MultiGpuWrapper()  # who has the other parts of the validation data

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Run the network; in training with its inner tensors, if the loss wants some."""
        if training and self._with_layers is not None:
            return self._with_layers(inputs, training=True)
        return self.network(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Compute the loss of a batch and note its metrics."""
        variables = self._decayed()
        metrics: Mapping[str, Any]
        if training:
            outputs, tensors = (y_pred, ()) if self._with_layers is None else y_pred
            loss, metrics = self.composer.training_loss(
                x, y, self._own_outputs(outputs), variables, tensors
            )
        else:
            loss, metrics = self.composer.calc_loss(y, self._own_outputs(y_pred), variables)
        size = keras.ops.shape(keras.tree.flatten(x)[0])[0]
        for name, value in metrics.items():
            self.loss_metrics[name].update_state(value, sample_weight=size)
        penalties = self.losses  # of the network's regularizers, if it has any
        return loss + keras.ops.sum(penalties) if penalties else loss

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        """Validate; each worker has scored its part, the sums of all make the result."""
        logs = super().evaluate(*arguments, **options)
        if self.validated_by.size == 1:
            return logs
        variables = [variable for metric in self.metrics for variable in metric.variables]
        own = [np.asarray(variable) for variable in variables]
        for variable, total in zip(variables, self.validated_by.sum_arrays(own), strict=True):
            variable.assign(total)
        return {name: float(value) for name, value in self.get_metrics_result().items()}

    def num_images_seen(self) -> int:
        """Count the images of this epoch, of all workers; Keras weighs its loss tracker by them."""
        return int(self._loss_tracker.count) * self.workers.size


def _chooser_of_outputs(network: keras.Model, plain: keras.Model | None) -> Callable[[Any], Any]:
    """Give a function that takes the plain network's outputs from all of the trained one's."""
    if plain is None:
        return lambda outputs: outputs
    wanted = functional_model(plain).output
    number = len(keras.tree.flatten(wanted))
    given = len(keras.tree.flatten(functional_model(network).output))
    if given < number:
        raise ValueError(
            f"the model that is trained must have the {number} outputs of the network that is "
            f"saved, then its own. Received: {given} outputs."
        )
    return lambda outputs: keras.tree.pack_sequence_as(wanted, keras.tree.flatten(outputs)[:number])


def _chooser_of_variables(network: keras.Model, plain: keras.Model | None) -> Callable[[], list]:
    """Give a function that lists what is trained of the plain network: not scales, not heads."""
    if plain is None:
        return lambda: network.trainable_variables
    own = {id(variable) for variable in plain.variables}
    return lambda: [variable for variable in network.trainable_variables if id(variable) in own]


def _metric_names(
    loss: LossComposer, variables: list[Any], network: keras.Model, element_spec: Any
) -> list[str]:
    """Trace the helper's loss alone, on shapes, to learn the names of its metrics."""
    if not isinstance(element_spec, tuple) or len(element_spec) != 2:
        raise InputError(
            "training data must give pairs (images, labels). Received elements of: "
            f"{element_spec}. Let the ModelHelper's build_dataset_train() give such pairs."
        )
    names = ["loss", *_traced_metrics(loss.calc_loss, variables, network, element_spec[1])]
    for term in loss.terms:
        if term.name in names:
            raise ValueError(
                f"a loss term must not have the name of another metric. Received: {term.name!r}; "
                f"the helper has {', '.join(names)}."
            )
    return [*names[1:], *(term.name for term in loss.terms)]


def _traced_metrics(
    calc_loss: CalcLoss, variables: list[Any], network: keras.Model, labels_spec: Any
) -> Mapping[str, Any]:
    outputs_spec = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), functional_model(network).output
    )

    def metrics(labels: Any, outputs: Any) -> Mapping[str, Any]:
        return calc_loss(labels, outputs, variables)[1]

    return traced(metrics).get_concrete_function(labels_spec, outputs_spec).structured_outputs

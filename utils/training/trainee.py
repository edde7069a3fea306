"""The Keras model that `fit` drives: it wraps the network, which stays free of our classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from utils.errors import InputError
from utils.graph.keras_reading import functional_model
from utils.training.hints import with_maps
from utils.training.loss import CalcLoss, LossComposer


class Trainee(keras.Model):
    """A network together with its loss; training and validation are Keras' own.

    Args:
        network: the model to train; only it is ever saved.
        loss: its loss. Validation uses the helper's part alone.
        element_spec: of the training data, (images, labels).
    """

    def __init__(self, network: keras.Model, loss: LossComposer, element_spec: Any) -> None:
        super().__init__(name="trainee")
        self.network = network
        self.composer = loss
        self._with_maps = with_maps(network, loss.hints) if loss.hints else None
        self.loss_metrics = {
            name: keras.metrics.Mean(name=name)
            for name in _metric_names(network, loss, element_spec)
        }
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Run the network; in training with its feature maps, if the loss wants some."""
        if training and self._with_maps is not None:
            return self._with_maps(inputs, training=True)
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
        variables = self.network.trainable_variables
        metrics: Mapping[str, Any]
        if training:
            outputs, maps = (y_pred, ()) if self._with_maps is None else y_pred
            loss, metrics = self.composer.training_loss(x, y, outputs, variables, maps)
        else:
            loss, metrics = self.composer.calc_loss(y, y_pred, variables)
        size = keras.ops.shape(keras.tree.flatten(x)[0])[0]
        for name, value in metrics.items():
            self.loss_metrics[name].update_state(value, sample_weight=size)
        penalties = self.losses  # of the network's regularizers, if it has any
        return loss + keras.ops.sum(penalties) if penalties else loss

    def nb_images_seen(self) -> int:
        """Count the images of this epoch; Keras weighs its loss tracker by them."""
        return int(self._loss_tracker.count)


def _metric_names(network: keras.Model, loss: LossComposer, element_spec: Any) -> list[str]:
    """Trace the helper's loss alone, on shapes, to learn the names of its metrics."""
    if not isinstance(element_spec, tuple) or len(element_spec) != 2:
        raise InputError(
            "training data must give pairs (images, labels). Received elements of: "
            f"{element_spec}. Let the ModelHelper's build_dataset_train() give such pairs."
        )
    return [*_traced_metrics(network, loss.calc_loss, element_spec[1]), *loss.terms]


def _traced_metrics(
    network: keras.Model, calc_loss: CalcLoss, labels_spec: Any
) -> Mapping[str, Any]:
    outputs_spec = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), functional_model(network).output
    )

    def metrics(labels: Any, outputs: Any) -> Mapping[str, Any]:
        return calc_loss(labels, outputs, network.trainable_variables)[1]

    return tf.function(metrics).get_concrete_function(labels_spec, outputs_spec).structured_outputs

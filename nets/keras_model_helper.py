"""A ModelHelper around a Keras model and data sets that exist already."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from nets.abstract_model_helper import AbstractModelHelper
from nets.config import HelperConfig
from utils.errors import InputError
from utils.graph import copy_network, traceable
from utils.graph.keras_reading import functional_model


class KerasModelHelper(AbstractModelHelper):
    """A ModelHelper around a model and data sets that exist already."""

    def __init__(
        self,
        model: keras.Model,
        train_ds: tf.data.Dataset,
        eval_ds: tf.data.Dataset,
        config: HelperConfig,
        seed: int,
    ) -> None:

        super().__init__(config, seed)
        self._train_ds = train_ds
        self._eval_ds = eval_ds
        network = functional_model(model)
        # A Sequential's own graph has another name than the model.
        self._source = model if isinstance(model, keras.Sequential) else network
        for name, dataset in (("train_ds", train_ds), ("eval_ds", eval_ds)):
            _check_dataset(name, dataset)
        labels = eval_ds.element_spec[1]
        self._loss = _loss_of(model, network, labels)
        self._metrics = _metrics_of(model, network.outputs[0], labels)
        self._ends_in_softmax = _ends_in_softmax(network)

    @property
    def model_name(self) -> str:
        """The model's own name."""
        return self._source.name

    def build_model(self) -> "keras.Model":
        """Copy the model, so that the caller's stays as it is."""
        return traceable(copy_network(self._source, allow_unsafe=True))  # asked for on reading it

    # The short form that helpers may have; the base class does the rest.
    def build_dataset_train(self) -> "tf.data.Dataset":  # type: ignore[override]
        """Give the training batches; the base class repeats them and starts anywhere."""
        return self._train_ds

    def build_dataset_eval(self) -> "tf.data.Dataset":
        """Give the held-out batches."""
        return self._eval_ds

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one pass through the training data."""
        return int(self._train_ds.cardinality())

    @property
    def nb_smpls_train(self) -> int:
        """Images of one pass, the last batch counted as full."""
        shape = next(iter(self._train_ds.take(1)))[1].shape
        return self.steps_per_epoch * int(shape[0])

    def logits(self, outputs: Any) -> Any:
        """Undo a softmax at the network's end, up to a constant that distillation does not see."""
        from keras import ops

        if not self._ends_in_softmax:
            return outputs
        return ops.log(ops.clip(outputs, 1e-7, 1.0))

    def calc_loss(
        self, labels: Any, outputs: Any, trainable_vars: Sequence[Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Compute the loss and the metrics."""
        loss = self._loss(labels, outputs) + self.weight_decay(trainable_vars)
        return loss, {name: metric(labels, outputs) for name, metric in self._metrics.items()}


def _check_dataset(name: str, dataset: Any) -> None:

    if not isinstance(dataset, tf.data.Dataset):
        raise InputError(
            f"`{name}` must be a tf.data.Dataset of batches (inputs, labels). Received: "
            f"{type(dataset).__name__}. Use tf.data.Dataset.from_tensor_slices((x, y)).batch(128)."
        )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise InputError(f"`{name}` must give pairs (inputs, labels). Received: {spec}.")
    if int(dataset.cardinality()) < 1:
        raise InputError(
            f"`{name}` must have a known, finite length. Add .apply(tf.data.experimental."
            "assert_cardinality(number_of_batches)) and no .repeat()."
        )


_Loss = Callable[[Any, Any], Any]  # labels, outputs -> scalar


def _loss_of(model: keras.Model, network: keras.Model, labels: Any) -> _Loss:
    """Find the loss: the compiled one, else cross-entropy by the labels' shape.

    Args:
        model: as the caller gave it, perhaps compiled.
        network: the Functional model inside.
        labels: their TensorSpec.
    """
    outputs = network.outputs
    if len(outputs) != 1 or not hasattr(labels, "shape"):
        raise InputError(
            f"compress() needs a model with one output and one array of labels. Received "
            f"{len(outputs)} outputs: write a ModelHelper with your own calc_loss, see "
            "docs/self_defined_models.md."
        )
    function = _compiled_loss(model)
    if function is None:
        if not _predicts_classes(outputs[0], labels):
            raise InputError(
                "compress() cannot tell the loss: the model is not compiled, and its labels "
                f"{labels} are neither classes nor one-hot. Call model.compile(loss=…) first."
            )
        kind = "" if _is_one_hot(outputs[0], labels) else "Sparse"
        make = getattr(keras.losses, f"{kind}CategoricalCrossentropy")
        function = make(from_logits=not _ends_in_softmax(network))
    return lambda y, predicted: keras.ops.mean(function(y, predicted))


def _compiled_loss(model: keras.Model) -> Any:

    compiled = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    if compiled is None:
        return None
    if not isinstance(compiled, str) and not callable(compiled):
        raise InputError(
            f"compress() needs one compiled loss. Received: {compiled!r}. Call "
            "model.compile(loss=…) with a name, a function or a keras.losses.Loss."
        )
    return keras.losses.get(compiled)


def _metrics_of(model: keras.Model, output: Any, labels: Any) -> dict[str, _Loss]:
    """Find the metrics: the compiled ones, and the accuracy where classes are predicted."""
    found: dict[str, _Loss] = {}
    for metric in _compiled_metrics(model):
        found[metric.name] = functools.partial(_value_on_batch, metric)
    names = "accuracy acc categorical_accuracy sparse_categorical_accuracy".split()
    crossentropy = "crossentropy" in _name(_compiled_loss(model) or "crossentropy")
    if crossentropy and _predicts_classes(output, labels):
        found = {name: metric for name, metric in found.items() if name not in names}
        one_hot = _is_one_hot(output, labels)

        def accuracy(y: Any, predicted: Any) -> Any:
            chosen = keras.ops.argmax(predicted, axis=-1)
            right = (
                keras.ops.argmax(y, axis=-1)
                if one_hot
                else keras.ops.reshape(y, keras.ops.shape(chosen))
            )
            equal = keras.ops.equal(keras.ops.cast(chosen, "int32"), keras.ops.cast(right, "int32"))
            return keras.ops.mean(keras.ops.cast(equal, "float32"))

        found["accuracy"] = accuracy
    return found


def _compiled_metrics(model: keras.Model) -> list[keras.metrics.Metric]:

    config = model.get_compile_config() if getattr(model, "compiled", False) else None
    listed = (config or {}).get("metrics") or []
    metrics = []
    for entry in listed if isinstance(listed, list) else [listed]:
        metric = keras.metrics.get(entry)
        if not isinstance(metric, keras.metrics.Metric):
            metric = keras.metrics.MeanMetricWrapper(metric, name=_name(metric))
        metrics.append(metric)
    return metrics


def _value_on_batch(metric: keras.metrics.Metric, y: Any, predicted: Any) -> Any:

    fresh = [keras.ops.zeros(variable.shape, variable.dtype) for variable in metric.variables]
    return metric.stateless_result(metric.stateless_update_state(fresh, y, predicted))


def _name(function: Any) -> str:
    return str(getattr(function, "name", getattr(function, "__name__", function)))


def _is_one_hot(output: Any, labels: Any) -> bool:
    return labels.shape.rank == len(output.shape) and labels.shape[-1] == output.shape[-1]


def _predicts_classes(output: Any, labels: Any) -> bool:
    if output.shape[-1] is None or output.shape[-1] < 2:
        return False
    return _is_one_hot(output, labels) or labels.dtype.is_integer


def _ends_in_softmax(network: keras.Model) -> bool:
    last = network.layers[-1]
    activation = getattr(last, "activation", None)
    return type(last).__name__ == "Softmax" or getattr(activation, "__name__", "") == "softmax"

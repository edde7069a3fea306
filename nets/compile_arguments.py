"""What a Keras model was compiled with, and what is meant where it was not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from utils.errors import InputError
from utils.graph import endings, from_keras
from utils.training.logits import BERNOULLI, REGRESSION
from utils.training.metrics import described

_ARGUMENTS = ("loss", "loss_weights", "metrics", "weighted_metrics")
_BINARY = (keras.losses.binary_crossentropy, keras.losses.binary_focal_crossentropy)
_CATEGORICAL = (
    keras.losses.categorical_crossentropy,
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
)
_REGRESSIONS = (
    keras.losses.mean_squared_error,
    keras.losses.mean_absolute_error,
    keras.losses.mean_absolute_percentage_error,
    keras.losses.mean_squared_logarithmic_error,
    keras.losses.log_cosh,
    keras.losses.huber,
    keras.losses.cosine_similarity,
    keras.losses.poisson,
)


def compile_arguments(
    model: keras.Model, network: keras.Model, labels: Any
) -> tuple[dict[str, Any], str | None]:
    """Find loss and metrics: the compiled ones, else those that the labels tell.

    Args:
        model: as the caller gave it, perhaps compiled.
        network: the Functional model inside.
        labels: their specs.

    Returns:
        Arguments for `compile`, the objects in them live. Of a network with one output that is
        trained by a cross-entropy the accuracy is among them; and its name where the caller asked
        for other metrics only, None else.

    Raises:
        InputError: if the loss cannot be told.
    """
    found = _compiled(model)
    if found.get("loss") is None:
        found = {**found, "loss": _guessed_loss(network, labels)}
    accuracy = _missing_accuracy(found, network, labels)
    if accuracy is None:
        return found, None
    asked = _flat(found.get("metrics"))
    extra = "accuracy" if asked or _flat(found.get("weighted_metrics")) else None
    return {**found, "metrics": [*asked, accuracy]}, extra


def _compiled(model: keras.Model) -> dict[str, Any]:
    if not getattr(model, "compiled", False):
        return {}
    # get_compile_config() gives serialized copies, in which functions are names.
    config = getattr(getattr(model, "_compile_config", None), "config", {})
    if type(model).compute_loss is not keras.Model.compute_loss:
        raise InputError(
            f"{type(model).__name__} computes its loss in a compute_loss of its own, which "
            "compress() cannot call for other networks. Give a plain Functional or Sequential "
            "model, or write a ModelHelper with that loss in calc_loss, see "
            "docs/self_defined_models.md."
        )
    return {name: config.get(name) for name in _ARGUMENTS}


def _guessed_loss(network: keras.Model, labels: Any) -> keras.losses.Loss:
    outputs = keras.tree.flatten(network.output)
    if len(outputs) != 1 or not hasattr(labels, "shape"):
        raise InputError(
            f"compress() cannot tell the loss of a model with {len(outputs)} outputs that is not "
            "compiled. Call model.compile(loss=…) first, with a list or dict of losses."
        )
    (output,), kind = outputs, endings(from_keras(network, allow_unsafe=True))[0].kind
    if kind == "sigmoid":
        return keras.losses.BinaryCrossentropy()
    if not _predicts_classes(output, labels):
        raise InputError(
            "compress() cannot tell the loss: the model is not compiled, and its labels "
            f"{labels} are neither classes nor one-hot. Call model.compile(loss=…) first."
        )
    make = (
        keras.losses.CategoricalCrossentropy
        if _is_one_hot(output, labels)
        else keras.losses.SparseCategoricalCrossentropy
    )
    return make(from_logits=kind != "softmax")


def _missing_accuracy(
    found: Mapping[str, Any], network: keras.Model, labels: Any
) -> str | keras.metrics.Metric | None:
    """Make the accuracy where the loss tells that there is one and none was asked for."""
    outputs = keras.tree.flatten(network.output)
    if len(outputs) != 1 or not hasattr(labels, "shape"):
        return None
    asked = [*_flat(found.get("metrics")), *_flat(found.get("weighted_metrics"))]
    if any(_is_accuracy(metric) for metric in asked):
        return None
    loss, output = _flat(found["loss"])[0], outputs[0]
    if _predicts_classes(output, labels) and _function(loss, output) in _CATEGORICAL:
        return "accuracy"
    if not asked and _function(loss, output) in _BINARY:
        # Of logits: yes is above 0.
        threshold = 0.0 if getattr(loss, "from_logits", False) else 0.5
        return keras.metrics.BinaryAccuracy(name="accuracy", threshold=threshold)
    return None


def scores_classes(losses: Any, num_outputs: int) -> bool:
    """Whether a model has one output, trained by a cross-entropy between classes; as below."""
    flat = _flat(losses)
    return num_outputs == len(flat) == 1 and _function(flat[0]) in _CATEGORICAL


def output_meanings(
    losses: Any, output_names: list[str] | None, num_outputs: int
) -> list[str | None]:
    """Say what each output is, by its loss, for distillation.

    Args:
        losses: of `compile`.
        output_names: of the model.
        num_outputs: of the model.

    Returns:
        "bernoulli" for logits under a binary cross-entropy, "regression" under Keras' losses of
        differences, None else; one per output.
    """
    if isinstance(losses, Mapping):
        names = output_names if set(losses) <= set(output_names or ()) else sorted(losses)
        flat = [losses.get(name) for name in names or ()]
    else:
        flat = list(losses) if isinstance(losses, (list, tuple)) else [losses] * num_outputs
    if len(flat) != num_outputs:
        return [None] * num_outputs
    return [_meaning(loss) for loss in flat]


def _meaning(loss: Any) -> str | None:
    function = _function(loss)
    if function in _BINARY:
        return BERNOULLI if getattr(loss, "from_logits", False) else None
    return REGRESSION if function in _REGRESSIONS else None


def _function(loss: Any, output: Any = None) -> Any:
    """Find the function behind a loss: a name, a function or an object."""
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
        one = output is not None and output.shape[-1] == 1
        return keras.losses.binary_crossentropy if one else keras.losses.categorical_crossentropy
    found = keras.losses.get(loss) if isinstance(loss, str) else loss
    return getattr(found, "fn", found)


def _flat(structure: Any) -> list[Any]:
    return [] if structure is None else keras.tree.flatten(structure)


def _is_accuracy(metric: Any) -> bool:
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", "")
    if name == "acc" or (name.endswith("accuracy") and "top_k" not in name):
        return True
    return not isinstance(metric, str) and described("", metric).is_accuracy


def _is_one_hot(output: Any, labels: Any) -> bool:
    return labels.shape.rank == len(output.shape) and labels.shape[-1] == output.shape[-1]


def _predicts_classes(output: Any, labels: Any) -> bool:
    if output.shape[-1] is None or output.shape[-1] < 2:
        return False
    return _is_one_hot(output, labels) or labels.dtype.is_integer

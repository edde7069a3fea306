"""Logits of networks that end in probabilities, for distillation.

Distillation compares softmax(logits / T) of two networks. What a network's outputs are is found on
its graph (`utils.graph.endings`):

- a softmax, anywhere at the end, is undone by the logarithm, up to a constant per sample that the
  softmax of the comparison does not see; classes more than 69 below the best count as 69 below;
- a sigmoid is a distribution over yes and no, one for each output value: its logit z becomes the
  pair (z, 0), whose softmax is (p, 1 - p), so that the same comparison is the one of Bernoulli
  distributions, KL(p_teacher || p) + KL(1 - p_teacher || 1 - p) in the usual short form; logits
  above 16.6, where float32 makes the probability 1, count as 16.6;
- sums of products without an activation are logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from utils.errors import InputError
from utils.graph.endings import LINEAR, SIGMOID, SOFTMAX, UNKNOWN, Ending, endings
from utils.graph.keras_io import from_keras
from utils.graph.keras_reading import functional_model

BERNOULLI, REGRESSION = "bernoulli", "regression"

ToLogits = Callable[[Any], Any]

# Probabilities below count as this one. Not the 1e-7 of Keras' cross-entropies: a class 16 below
# the best would have no gradient any more.
_LEAST = 1e-30
_LEAST_OF_REST = 2.0**-24  # of 1 - p, which float32 has no finer than this


def logits_function(
    network: keras.Model, batch: Callable[[], Any], meanings: Sequence[str | None] = ()
) -> ToLogits:
    """Make the function from a network's outputs to logits.

    Args:
        network: functional model.
        batch: gives some inputs; called only where the graph does not tell what an output is.
        meanings: what is known of each output in Keras' order: "bernoulli" for a logit of yes or
            no, "regression", None. Empty: nothing is.

    Returns:
        Function of the outputs, in their structure.

    Raises:
        InputError: if an output is no logit and cannot be made one.
    """
    found = endings(from_keras(network, allow_unsafe=True))
    known = list(meanings) or [None] * len(found)
    _refuse_regressions(network, found, known)
    unclear = [
        ending.kind == UNKNOWN and meaning is None
        for ending, meaning in zip(found, known, strict=True)
    ]
    if any(unclear):
        values = keras.tree.flatten(network(batch(), training=False))
        for ending, value, is_unclear in zip(found, values, unclear, strict=True):
            if is_unclear:
                _refuse_probabilities(ending, np.asarray(value))

    def to_logits(outputs: Any) -> Any:
        flat = [
            _logits(ending, output, meaning)
            for ending, output, meaning in zip(
                found, keras.tree.flatten(outputs), known, strict=True
            )
        ]
        return keras.tree.pack_sequence_as(outputs, flat)

    return to_logits


def _logits(ending: Ending, output: Any, meaning: str | None) -> Any:
    if ending.kind == SIGMOID:
        return _yes_or_no(_logit(_arranged(ending, output)))
    if ending.kind == SOFTMAX:
        logs = _log(_arranged(ending, output))
        return logs if ending.axis in (-1, len(logs.shape) - 1) else _last(logs, ending.axis)
    return _yes_or_no(output) if meaning == BERNOULLI else output


def _arranged(ending: Ending, output: Any) -> Any:
    """Put an output's values where the layer that made them has them; open sizes stay."""
    if None in ending.shape[1:]:
        return output
    if ending.places is not None:
        output = ops.take(ops.reshape(output, (-1, ending.places.size)), ending.places, axis=1)
    return ops.reshape(output, (-1, *ending.shape[1:]))


def _log(probabilities: Any) -> Any:
    """Take the logarithm in float32: 16 bits have no number as small."""
    return ops.log(ops.clip(ops.cast(probabilities, "float32"), _LEAST, 1.0))


def _logit(probabilities: Any) -> Any:
    rest = 1.0 - ops.cast(probabilities, "float32")
    return _log(probabilities) - ops.log(ops.clip(rest, _LEAST_OF_REST, 1.0))


def _yes_or_no(logits: Any) -> Any:
    return ops.stack([logits, ops.zeros_like(logits)], axis=-1)


def _last(tensor: Any, axis: int) -> Any:
    return ops.moveaxis(tensor, axis, -1)


def _refuse_regressions(
    network: keras.Model, found: Sequence[Ending], meanings: Sequence[str | None]
) -> None:
    sizes = [tensor.shape[-1] for tensor in keras.tree.flatten(functional_model(network).output)]
    for ending, meaning, size in zip(found, meanings, sizes, strict=True):
        single = meaning is None and ending.kind == LINEAR and size == 1
        if meaning == REGRESSION or single:
            raise InputError(
                f"Distillation: the output of layer {ending.layer!r} is "
                f"{'one number per sample' if single else 'a regression by its loss'}, and "
                "distillation compares distributions over classes. Give the ModelHelper a method "
                "`logits(outputs)` that makes logits of it (of a score for yes: keras.ops.stack("
                "[outputs, keras.ops.zeros_like(outputs)], axis=-1)), or leave it out "
                "(--loss_w_dst=0) and compare feature maps with --loss_w_hint."
            )


def _refuse_probabilities(ending: Ending, values: np.ndarray) -> None:
    if not (np.all(values >= 0.0) and np.all(values <= 1.0 + 1e-3)):
        return
    sums = np.abs(values.sum(axis=-1) - 1.0).max() <= 1e-3
    raise InputError(
        f"Distillation: the output of layer {ending.layer!r} lies between 0 and 1"
        f"{' and adds up to 1' if sums else ''}, but no softmax or sigmoid is found there. "
        "Distillation needs logits. Give the ModelHelper a method `logits(outputs)` that returns "
        "them (of class probabilities keras.ops.log(outputs)), or let the network end in "
        "keras.layers.Softmax."
    )


def teacher_like(teacher: keras.Model, network: keras.Model) -> keras.Model:
    """Give a teacher the same ending as the network: logits or probabilities.

    Args:
        teacher: functional model with outputs of the network's shapes.
        network: functional model.

    Returns:
        The teacher, with another ending where the two differ.

    Raises:
        InputError: if they differ in a way that cannot be made equal.
    """
    pairs = [endings(from_keras(model, allow_unsafe=True)) for model in (teacher, network)]
    theirs, ours = ([ending.kind for ending in found] for found in pairs)
    if theirs == ours:
        return teacher
    functional = functional_model(teacher)
    outputs = [
        _converted(tensor, *ends)
        for tensor, *ends in zip(keras.tree.flatten(functional.output), *pairs, strict=True)
    ]
    packed = keras.tree.pack_sequence_as(functional.output, outputs)
    return keras.Model(functional.input, packed, name=teacher.name)


def _converted(tensor: Any, theirs: Ending, ours: Ending) -> Any:
    if theirs.kind == ours.kind:
        return tensor
    change = (theirs.kind, ours.kind)
    if change == (SOFTMAX, LINEAR):
        return _log(tensor)
    if change == (SIGMOID, LINEAR):
        return _logit(tensor)
    if change == (LINEAR, SIGMOID):
        return ops.sigmoid(tensor)
    if change == (LINEAR, SOFTMAX) and ours.places is None and len(ours.shape) == tensor.ndim:
        return ops.softmax(tensor, axis=ours.axis)
    raise InputError(
        f"Distillation: the teacher's output of layer {theirs.layer!r} is {theirs.kind}, the "
        f"network's of layer {ours.layer!r} is {ours.kind}. Give a teacher that ends as the "
        "network does, or the ModelHelper a method `logits(outputs)`."
    )

"""Keras 2's hard sigmoid in today's Keras, exactly.

Keras 2 computed clip(0.2·x + 0.5, 0, 1), today's Keras clip(x/6 + 0.5, 0, 1): the first of x is the
second of 1.2·x. So what makes x, a layer's kernel and bias, is multiplied by 1.2. Recurrent layers
of Keras 2.1 and 2.2 have it in their gates unless another function was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from utils.errors import InputError

SCALE = 1.2
_Place = tuple[Any, int, tuple[int, ...]]
_WEIGHTS = ("kernel", "pointwise_kernel", "recurrent_kernel", "bias")
# Cell -> number of gates, side by side on the last axis of its weights; those of the recurrent
# activation; those of the activation. An LSTM applies its activation to its state as well.
_CELLS: dict[str, tuple[int, tuple[int, ...], tuple[int, ...] | None]] = {
    "ConvLSTMCell": (4, (0, 1, 3), None),
    "GRUCell": (3, (0, 1), (2,)),
    "LSTMCell": (4, (0, 1, 3), None),
    "SimpleRNNCell": (1, (), (0,)),
}
_KERNELS = ("Dense", "EinsumDense", "Conv", "DepthwiseConv", "SeparableConv")


def is_hard_sigmoid(layer: Any) -> bool:
    """Whether a layer is nothing but a hard sigmoid."""
    return isinstance(layer, keras.layers.Activation) and _is(layer.activation)


def _is(function: Any) -> bool:
    return function is keras.activations.hard_sigmoid


def restore(model: keras.Model, scaled: Iterable[Any] = ()) -> None:
    """Let a model with weights of Keras 2 compute what Keras 2 did, in place.

    Args:
        model: built, with the file's weights.
        scaled: layers whose inputs are multiplied already.

    Raises:
        InputError: see `places`.
    """
    for layer, num_gates, gates in places(model, scaled):
        _multiply(layer, num_gates, gates)


def places(model: keras.Model, scaled: Iterable[Any] = ()) -> list[_Place]:
    """Find the layers whose weights must take the factor up.

    Args:
        model: any built model; nothing in it is changed.
        scaled: layers whose inputs are multiplied already.

    Returns:
        Layer, number of gates side by side on the last axis of its weights, and those concerned.

    Raises:
        InputError: where a hard sigmoid has no weights in front that could.
    """
    done = {id(layer) for layer in scaled}
    found: list[_Place] = []
    for layer in model._flatten_layers():
        kind = type(layer).__name__
        if kind in _CELLS:
            found += _places_in_cell(layer, *_CELLS[kind])
        elif not isinstance(layer, keras.layers.RNN) and _is(getattr(layer, "activation", None)):
            if id(layer) in done:
                continue
            if not kind.startswith(_KERNELS):
                raise InputError(_impossible(layer))
            found.append((layer, 1, (0,)))
    return found


def _places_in_cell(
    cell: Any, num_gates: int, recurrent: tuple[int, ...], own: tuple[int, ...] | None
) -> list[_Place]:
    gates: tuple[int, ...] = ()
    if _is(getattr(cell, "recurrent_activation", None)):
        gates += recurrent
    if _is(cell.activation):
        if own is None:
            raise InputError(_impossible(cell))
        gates += own
    return [(cell, num_gates, gates)] if gates else []


def _multiply(layer: Any, num_gates: int, gates: tuple[int, ...]) -> None:
    """Multiply some gates' parts of a layer's weights."""
    for name in _WEIGHTS:
        variable = getattr(layer, name, None)
        if variable is None:
            continue
        values = np.array(variable)
        parts = values.reshape(*values.shape[:-1], num_gates, -1)
        parts[..., list(gates), :] *= SCALE
        variable.assign(parts.reshape(values.shape))


def _impossible(layer: Any) -> str:
    return (
        f"layer {layer.name!r} is a hard sigmoid, which Keras 2 computed as 0.2·x + 0.5 and "
        "today's Keras computes as x/6 + 0.5: there it cannot be made up for. Put a Rescaling(1.2) "
        "in front of it, or choose another function."
    )

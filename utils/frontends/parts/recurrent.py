"""Recurrent layers: simple, LSTM and GRU, in one direction or both, with or without states."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.parts.pointwise import without_stand_ins
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """Weights of one direction, gates in Keras' order.

    Attributes:
        kernel: [inputs, gates · units].
        recurrent: [units, gates · units].
        bias: [gates · units], or [2, gates · units] of a GRU that resets after its product.
    """

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray

    @property
    def weights(self) -> list[np.ndarray]:
        """In Keras' order."""
        return [self.kernel, self.recurrent, self.bias]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recurrence:
    """A recurrent layer.

    Attributes:
        layer: the Keras class.
        settings: of the class, `units` among them.
        cells: one per direction.
        backward: whether the only direction runs from the end.
        states: for each of the cell's states, its start [directions, batch, units]; None for zero.
        wants_sequence: whether the outputs of all steps are read.
        wants_states: whether the last states are.
    """

    layer: Any
    settings: dict[str, Any]
    cells: Sequence[Cell]
    backward: bool
    states: Sequence[Value | None]
    wants_sequence: bool
    wants_states: bool


def recurrent(build: Building, node: SourceNode, value: Value, spec: Recurrence) -> list[Value]:
    """Run over a sequence.

    Args:
        build: the network.
        node: names the layers.
        value: [steps, batch, inputs].
        spec: the layer.

    Returns:
        Outputs [steps, directions, batch, units], then the last of each state
        [directions, batch, units]; what is not wanted is left out at the end.
    """
    tensor, _ = build.in_order(node, value, (1, 0, 2))
    initial = _initial(build, node, spec)
    settings = dict(
        spec.settings, return_sequences=spec.wants_sequence, return_state=spec.wants_states
    )
    if len(spec.cells) == 2:
        # Keras takes the inner layer's name into the names of both directions.
        inner = spec.layer(name=build.name(node, "cell"), **settings)
        layer = keras.layers.Bidirectional(inner, name=build.name(node))
    else:
        layer = spec.layer(name=build.name(node), go_backwards=spec.backward, **settings)
    made = layer(tensor, initial_state=initial) if initial else layer(tensor)
    layer.set_weights([weight for cell in spec.cells for weight in cell.weights])
    outputs = list(made) if isinstance(made, (list, tuple)) else [made]
    return _values(build, node, value, spec, outputs)


def _values(
    build: Building, node: SourceNode, value: Value, spec: Recurrence, outputs: list[Any]
) -> list[Value]:
    steps, batch, _ = value.shape
    directions, units = len(spec.cells), spec.settings["units"]
    first = outputs[0]
    if spec.wants_sequence:
        if spec.backward and directions == 1:
            first = build.op(node, keras.ops.flip, first, axis=1, suffix="flip")
        made = build.result(first, (1, 0, 2), sizes={0: steps, 1: batch})
        made = build.reshape(node, made, (steps, batch, directions, units))
        results = [build.transpose(made, (0, 2, 1, 3))]
    else:
        results = [_state(build, node, first, batch, directions, units)]
    if not spec.wants_states:
        return results
    states = outputs[1:]
    per_direction = len(states) // directions
    for place in range(per_direction):
        tensors = states[place::per_direction]
        joined = tensors[0]
        if directions == 2:
            joined = build.layer(node, keras.layers.Concatenate, *tensors, suffix=f"state{place}")
        results.append(_state(build, node, joined, batch, directions, units))
    return results


def _state(
    build: Building, node: SourceNode, tensor: Any, batch: int, directions: int, units: int
) -> Value:
    made = build.result(tensor, (0, 1), sizes={0: batch})
    made = build.reshape(node, made, (batch, directions, units))
    return build.transpose(made, (1, 0, 2))


def _initial(build: Building, node: SourceNode, spec: Recurrence) -> list[Any]:
    if all(_is_zero(state) for state in spec.states):
        return []
    found: list[list[Any]] = []
    for place, state in enumerate(spec.states):
        if state is None or state.is_constant:
            raise NotConvertible("starts from a constant state other than zero")
        tensor, _ = build.in_order(node, state, (1, 0, 2), suffix=f"initial{place}")
        found.append(
            [
                build.op(node, lambda t=tensor, d=direction: t[:, d], suffix=f"initial{place}")
                for direction in range(len(spec.cells))
            ]
        )
    return [states[direction] for direction in range(len(spec.cells)) for states in found]


def _is_zero(state: Value | None) -> bool:
    return state is None or (state.is_constant and not np.any(without_stand_ins(state)))


def reordered(array: np.ndarray, gates: Sequence[int], axis: int) -> np.ndarray:
    """Put the gates along an axis into another order.

    Example:
        >>> reordered(np.arange(4), (0, 2, 3, 1), axis=0)
        array([0, 2, 3, 1])
    """
    parts = np.split(array, len(gates), axis=axis)
    return np.concatenate([parts[gate] for gate in gates], axis=axis)

"""ONNX' recurrent operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building, Function
from utils.frontends.parts.recurrent import Cell, Recurrence, recurrent, reordered
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

# Gates in Keras' order as places in ONNX'.
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (0, 1, 2), "RNN": (0,)}
_LAYERS = {"LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU, "RNN": keras.layers.SimpleRNN}
_FUNCTIONS = {
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "softsign": "softsign",
    "softplus": "softplus",
    "elu": "elu",
}
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


def layer(build: Building, node: SourceNode) -> list[Value]:
    """`LSTM`, `GRU` and `RNN`."""
    kernel, kept = build.constant(node, 1, "weights"), build.constant(node, 2, "weights")
    directions, units = kernel.shape[0], kept.shape[-1]
    value = build.input(node, 0)
    if node.attrs.get("layout"):
        value = build.transpose(value, (1, 0, 2))
    _check(build, node, value)
    outputs = [*node.outputs, "", "", ""]
    is_read = [bool(name) and _is_used(build, name) for name in outputs[:3]]
    spec = Recurrence(
        layer=_LAYERS[node.op],
        settings={"units": units, **_activations(node, directions), **_reset(node)},
        cells=[_cell(build, node, kernel[i], kept[i], i) for i in range(directions)],
        backward=node.attrs.get("direction", "forward") == "reverse",
        states=_states(build, node),
        wants_sequence=is_read[0],
        wants_states=any(is_read[1:]) and (is_read[0] or is_read[2] or directions == 2),
    )
    return _placed(build, node, recurrent(build, node, value, spec), spec)


def _is_used(build: Building, name: str) -> bool:
    return bool(build.readers(name)) or build.is_output(name)


def _placed(
    build: Building, node: SourceNode, results: list[Value], spec: Recurrence
) -> list[Value]:
    """The results in the places of ONNX' outputs."""
    if not spec.wants_sequence and not spec.wants_states:
        results = [results[0], results[0]]
    if not node.attrs.get("layout"):
        return results
    sequence = build.transpose(results[0], (2, 0, 1, 3)) if spec.wants_sequence else results[0]
    return [sequence, *(build.transpose(state, (1, 0, 2)) for state in results[1:])]


def _check(build: Building, node: SourceNode, value: Value) -> None:
    if build.has(node, 4) and np.any(build.constant(node, 4, "lengths") != value.shape[0]):
        raise NotConvertible("its sequences have lengths of their own")
    if node.attrs.get("clip") or node.attrs.get("input_forget"):
        raise NotConvertible("limits its cell or couples its gates")
    if build.has(node, 7):
        raise NotConvertible("its gates look at the cell (peepholes)")


def _reset(node: SourceNode) -> dict[str, Any]:
    if node.op != "GRU":
        return {}
    return {"reset_after": bool(node.attrs.get("linear_before_reset", 0))}


def _activations(node: SourceNode, directions: int) -> dict[str, Any]:
    names: Sequence[str] = node.attrs.get("activations") or _DEFAULTS[node.op] * directions
    count = len(_DEFAULTS[node.op])
    first = [name.lower() for name in names[:count]]
    given = [name.lower() for name in names]
    if given != first * directions or any(name not in _FUNCTIONS for name in first):
        raise NotConvertible(f"its activations {', '.join(names)} have no Keras counterpart")
    slopes: Sequence[float] = node.attrs.get("activation_alpha") or ()
    if "elu" in first and any(slope != 1 for slope in slopes):
        raise NotConvertible(f"its Elu has the alpha {slopes[0]:g}; in Keras it is 1")
    if node.op == "LSTM" and first[1] != first[2]:
        raise NotConvertible("its cell and its output have different activations")
    if node.op == "RNN":
        return {"activation": _FUNCTIONS[first[0]]}
    return {"recurrent_activation": _FUNCTIONS[first[0]], "activation": _FUNCTIONS[first[1]]}


def _cell(
    build: Building, node: SourceNode, kernel: np.ndarray, kept: np.ndarray, direction: int
) -> Cell:
    gates, units = _GATES[node.op], kept.shape[-1]
    bias = np.zeros(2 * len(gates) * units, np.float32)
    if build.has(node, 3):
        bias = build.constant(node, 3, "bias")[direction]
    halves = reordered(bias.reshape(2, -1), gates, axis=1)
    keeps_both = node.op == "GRU" and node.attrs.get("linear_before_reset", 0)
    return Cell(
        kernel=reordered(kernel, gates, axis=0).T,
        recurrent=reordered(kept, gates, axis=0).T,
        bias=halves if keeps_both else halves.sum(axis=0),
    )


def _states(build: Building, node: SourceNode) -> list[Value | None]:
    places = (5, 6) if node.op == "LSTM" else (5,)
    found = [build.input(node, place) if build.has(node, place) else None for place in places]
    if node.attrs.get("layout"):
        found = [
            state if state is None or state.is_constant else build.transpose(state, (1, 0, 2))
            for state in found
        ]
    if any(found) and not all(found):
        raise NotConvertible("starts from one given state of two")
    return found


FUNCTIONS: Mapping[str, Function] = {"LSTM": layer, "GRU": layer, "RNN": layer}

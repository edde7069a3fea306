"""Recurrent layers of ONNX: GRU, LSTM and RNN, whose sequences are [steps, batch, features]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from utils.export.onnx_nodes import Writer
from utils.reconstructors.rebuilding import RefusedError
from utils.reconstructors.target import Cell

_OPS = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}
_ORDER = {"rnn": (0,), "gru": (0, 1, 2), "lstm": (0, 3, 1, 2)}  # ONNX: enter, leave, forget, new
_FUNCTIONS: Mapping[str, tuple[str, float, float]] = {
    # name, alpha, beta; those without settings take none of the list, so 0 stands for them
    "elu": ("Elu", 1.0, 0.0),
    "hard_sigmoid": ("HardSigmoid", 1.0 / 6.0, 0.5),
    "leaky_relu": ("LeakyRelu", 0.2, 0.0),
    "linear": ("Affine", 1.0, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "softplus": ("Softplus", 0.0, 0.0),
    "softsign": ("Softsign", 0.0, 0.0),
    "tanh": ("Tanh", 0.0, 0.0),
}


class _Steps(Protocol):
    """What of the target is needed here."""

    def constant(self, name: str, values: np.ndarray) -> str: ...
    def transpose(self, x: Any, perm: Sequence[int]) -> Any: ...
    def squeeze(self, x: Any, axes: Sequence[int]) -> Any: ...
    def unsqueeze(self, x: Any, axes: Sequence[int]) -> Any: ...


def add_cell(
    steps: _Steps,
    writer: Writer,
    name: Callable[[str], str],
    x: str,
    cell: Cell,
    states: Sequence[str],
) -> tuple[str, Sequence[str]]:
    """Add a cell.

    Args:
        steps: adds constants and moves axes.
        writer: what the node is added to.
        name: makes a name for a tensor.
        x: the sequence [batch, steps, features].
        cell: the layer.
        states: [batch, units] each, to start from; none for zeros.

    Returns:
        All states in order [batch, steps, units], and the last ones.

    Raises:
        RefusedError: for an activation that ONNX' loops lack.
    """
    functions = [cell.gate, cell.activation]
    functions = {"rnn": functions[1:], "gru": functions, "lstm": [*functions, cell.activation]}[
        cell.kind
    ]
    for function in functions:
        if function not in _FUNCTIONS:
            raise RefusedError(f"its activation {function!r} has no form in a loop there")
    inputs = [
        steps.transpose(x, (1, 0, 2)),
        steps.constant("kernel", _gates(cell, cell.kernel).T[None]),
        steps.constant("recurrent", _gates(cell, cell.recurrent).T[None]),
        "" if cell.bias is None else steps.constant("bias", _bias(cell, cell.bias)),
        "",  # lengths of sequences
        *(steps.unsqueeze(state, [0]) for state in states),
    ]
    while not inputs[-1]:
        inputs.pop()
    attrs: dict[str, Any] = {"hidden_size": cell.units, **_activations(cell, functions)}
    if cell.kind == "gru":
        attrs["linear_before_reset"] = int(cell.reset_after)
    count = 2 if cell.kind == "lstm" else 1
    outputs = [name("sequence"), *(name(f"last_{number}") for number in range(count))]
    writer.add_several(_OPS[cell.kind], inputs, outputs, name(cell.kind), **attrs)
    sequence = steps.transpose(steps.squeeze(outputs[0], [1]), (1, 0, 2))
    return sequence, [steps.squeeze(each, [0]) for each in outputs[1:]]


def _activations(cell: Cell, functions: Sequence[str]) -> dict[str, Any]:
    """Name them where they are not ONNX' own, which are those of Keras too."""
    if cell.activation == "tanh" and cell.gate == "sigmoid":
        return {}
    found = [_FUNCTIONS[each] for each in functions]
    with_alpha = {"Affine", "Elu", "HardSigmoid", "LeakyRelu"}
    with_beta = {"Affine", "HardSigmoid"}
    attrs: dict[str, Any] = {"activations": [name for name, _, _ in found]}
    alphas = [alpha for name, alpha, _ in found if name in with_alpha]
    betas = [beta for name, _, beta in found if name in with_beta]
    if alphas:
        attrs["activation_alpha"] = alphas
    if betas:
        attrs["activation_beta"] = betas
    return attrs


def _bias(cell: Cell, bias: np.ndarray) -> np.ndarray:
    first, second = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return np.concatenate([_gates(cell, first), _gates(cell, second)])[None]


def _gates(cell: Cell, values: np.ndarray) -> np.ndarray:
    parts = np.split(values, len(_ORDER[cell.kind]), axis=-1)
    return np.concatenate([parts[gate] for gate in _ORDER[cell.kind]], axis=-1)

"""Recurrent layers of PyTorch: which module computes a cell, and where its weights go."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from utils.reconstructors.rebuilding import RefusedError
from utils.reconstructors.target import Cell
from utils.reconstructors.torch_text import literal

_ORDER = {"rnn": (0,), "lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}  # Keras' GRU updates, then resets
_FUNCTIONS = {
    "elu": "F.elu",
    "hard_sigmoid": "F.hardsigmoid",
    "leaky_relu": "lambda x: F.leaky_relu(x, 0.2)",
    "linear": "nn.Identity()",
    "relu": "F.relu",
    "selu": "F.selu",
    "sigmoid": "torch.sigmoid",
    "silu": "F.silu",
    "softplus": "F.softplus",
    "softsign": "F.softsign",
    "tanh": "torch.tanh",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellModule:
    """The module of a cell.

    Attributes:
        text: what makes it.
        arrays: its weights by name.
        left: what its outputs are assigned to: all states in order, then the last ones.
        states: how states are handed over behind the input.
        num_states: how many there are.
        is_own: it is the part `Recurrent`, not one of `torch.nn`.
    """

    text: str
    arrays: Mapping[str, np.ndarray]
    left: str
    states: str
    num_states: int
    is_own: bool


def cell_module(cell: Cell) -> CellModule:
    """Choose the module: one of `torch.nn` where it computes the same.

    Raises:
        RefusedError: for an activation that neither has.
    """
    plain = cell.gate == "sigmoid" and cell.activation == "tanh" and cell.reset_after
    if cell.kind == "rnn":
        plain = cell.activation in ("tanh", "relu")
    return _plain(cell) if plain else _own(cell)


def _plain(cell: Cell) -> CellModule:
    inputs = cell.kernel.shape[0]
    settings = f"{inputs}, {cell.units}, batch_first=True"
    if cell.kind == "rnn" and cell.activation != "tanh":
        settings += f", nonlinearity={literal(cell.activation)}"
    arrays = {
        "weight_ih_l0": _gates(cell, cell.kernel).T,
        "weight_hh_l0": _gates(cell, cell.recurrent).T,
    }
    if cell.bias is None:
        settings += ", bias=False"
    else:
        first, second = _biases(cell)
        arrays |= {"bias_ih_l0": _gates(cell, first), "bias_hh_l0": _gates(cell, second)}
    is_lstm = cell.kind == "lstm"
    return CellModule(
        text=f"nn.{cell.kind.upper()}({settings})",
        arrays=arrays,
        left="{0}, ({1}, {2})" if is_lstm else "{0}, {1}",
        states=", ({}.unsqueeze(0), {}.unsqueeze(0))" if is_lstm else ", {}.unsqueeze(0)",
        num_states=2 if is_lstm else 1,
        is_own=False,
    )


def _own(cell: Cell) -> CellModule:
    for function in (cell.activation, cell.gate):
        if function not in _FUNCTIONS:
            raise RefusedError(f"its activation {function!r} has no form in a loop there")
    arrays = {"kernel": cell.kernel, "recurrent": cell.recurrent}
    if cell.bias is not None:
        arrays["bias"] = np.stack(_biases(cell))
    sizes = f"{literal(cell.kind)}, {cell.kernel.shape[0]}, {cell.units}"
    functions = f"{_FUNCTIONS[cell.activation]}, {_FUNCTIONS[cell.gate]}"
    is_lstm = cell.kind == "lstm"
    rest = f"{cell.bias is not None}, {cell.reset_after}"
    return CellModule(
        text=f"Recurrent({sizes}, {functions}, {rest})",
        arrays=arrays,
        left="{0}, {1}, {2}" if is_lstm else "{0}, {1}",
        states=", {}, {}" if is_lstm else ", {}",
        num_states=2 if is_lstm else 1,
        is_own=True,
    )


def _biases(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Split the bias into that of the input's product and that of the state's."""
    if cell.bias is None:
        raise ValueError("the cell has no bias.")
    if cell.bias.ndim == 2:
        return cell.bias[0], cell.bias[1]
    return cell.bias, np.zeros_like(cell.bias)


def _gates(cell: Cell, values: np.ndarray) -> np.ndarray:
    """Put the gates, side by side on the last axis, into the order of PyTorch."""
    parts = np.split(values, len(_ORDER[cell.kind]), axis=-1)
    return np.concatenate([parts[gate] for gate in _ORDER[cell.kind]], axis=-1)

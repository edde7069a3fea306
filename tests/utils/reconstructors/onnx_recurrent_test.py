import numpy as np
import pytest

from utils.reconstructors.onnx_recurrent import _activations, _bias, _gates
from utils.reconstructors.target import Cell

LSTM = Cell(
    kind="lstm",
    kernel=np.zeros((2, 4)),
    recurrent=np.zeros((1, 4)),
    bias=np.arange(4.0),
    activation="tanh",
    gate="sigmoid",
)


def test_onnx_has_the_gate_that_leaves_second():
    assert _gates(LSTM, np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [1.0, 4.0, 2.0, 3.0]
    assert _bias(LSTM, np.arange(4.0)).tolist() == [[0.0, 3.0, 1.0, 2.0] + [0.0] * 4]


def test_activations_are_named_where_they_are_others():
    assert _activations(LSTM, ["sigmoid", "tanh", "tanh"]) == {}
    cell = Cell(**{**vars(LSTM), "gate": "hard_sigmoid"})
    assert _activations(cell, ["hard_sigmoid", "tanh", "tanh"]) == {
        "activations": ["HardSigmoid", "Tanh", "Tanh"],
        "activation_alpha": [pytest.approx(1 / 6)],
        "activation_beta": [0.5],
    }

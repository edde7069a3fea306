import dataclasses

import numpy as np
import pytest

from utils.reconstructors.rebuilding import RefusedError
from utils.reconstructors.target import Cell
from utils.reconstructors.torch_recurrent import cell_module

GRU = Cell(
    kind="gru",
    kernel=np.arange(12.0).reshape(2, 6),
    recurrent=np.arange(12.0).reshape(2, 6),
    bias=np.arange(12.0).reshape(2, 6),
    activation="tanh",
    gate="sigmoid",
)


def test_pytorch_has_a_grus_reset_gate_first():
    made = cell_module(GRU)
    assert made.text == "nn.GRU(2, 2, batch_first=True)"
    assert made.arrays["bias_ih_l0"].tolist() == [2.0, 3.0, 0.0, 1.0, 4.0, 5.0]
    assert made.arrays["weight_ih_l0"][:, 0].tolist() == [2.0, 3.0, 0.0, 1.0, 4.0, 5.0]


def test_a_relu_is_a_setting_of_a_plain_loop():
    cell = dataclasses.replace(GRU, kind="rnn", activation="relu", bias=None)
    assert (
        cell_module(cell).text == "nn.RNN(2, 2, batch_first=True, nonlinearity='relu', bias=False)"
    )


def test_a_single_bias_is_that_of_the_input():
    cell = dataclasses.replace(GRU, reset_after=False, bias=np.arange(6.0))
    made = cell_module(cell)
    assert made.is_own
    assert made.arrays["bias"].tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 6]


def test_unknown_activations_are_refused():
    with pytest.raises(RefusedError, match="'mish' has no form in a loop"):
        cell_module(dataclasses.replace(GRU, activation="mish"))

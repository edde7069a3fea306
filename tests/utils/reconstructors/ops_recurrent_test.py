import keras
import pytest
from keras import layers

from tests.utils.reconstructors.sources import written
from utils.errors import InputError


def written_cell(cell, shape=(5, 4)):
    inputs = keras.Input(shape, name="steps")
    return written(keras.Model(inputs, cell(inputs)))


def test_plain_cells_are_pytorchs_own():
    lines, setup, state = written_cell(layers.LSTM(3, name="lstm"))
    assert "self.lstm = nn.LSTM(4, 3, batch_first=True)" in setup
    assert lines[0] == "_, (x, _) = self.lstm(steps)"
    assert state["lstm.weight_ih_l0"].shape == (12, 4)


def test_other_cells_bring_their_own_loop():
    pytest.importorskip("torch")  # the source copies a part
    _, setup, _ = written_cell(layers.GRU(3, reset_after=False, name="gru"))
    assert "Recurrent('gru', 4, 3, torch.tanh, torch.sigmoid, True, False)" in setup


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (layers.LSTM(3, activation="mish"), "'mish' has no form in a loop"),
        (layers.Bidirectional(layers.LSTM(3, activation="mish")), "'mish' has no form in a loop"),
    ],
)
def test_what_no_loop_computes_is_refused(cell, reason):
    with pytest.raises(InputError, match=reason):
        written_cell(cell)


def test_states_between_calls_are_refused():
    inputs = keras.Input((5, 4), batch_size=2)
    with pytest.raises(InputError, match="stateful"):
        written(keras.Model(inputs, layers.LSTM(3, stateful=True)(inputs)))


def test_masks_are_refused():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.LSTM(3)(layers.Embedding(9, 4, mask_zero=True)(inputs))
    with pytest.raises(InputError, match="mask_zero"):
        written(keras.Model(inputs, x))

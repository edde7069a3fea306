import keras
import numpy as np

from tests.utils.frontends.parts.one_value import built, kinds, run
from utils.frontends.parts.recurrent import Cell, Recurrence, recurrent, reordered


def cell(random, inputs, units):
    shapes = ((inputs, 4 * units), (units, 4 * units), (4 * units,))
    arrays = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    return Cell(kernel=arrays[0], recurrent=arrays[1], bias=arrays[2])


def by_loop(x, weights, state, memory):
    """Outputs [steps, batch, units] of one direction, and both last states."""
    outputs = []
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    for step in x:
        gates = step @ weights.kernel + state @ weights.recurrent + weights.bias
        i, f, c, o = np.split(gates, 4, axis=-1)
        memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(c)
        state = sigmoid(o) * np.tanh(memory)
        outputs.append(state)
    return np.stack(outputs), state, memory


def test_both_directions_start_from_given_states(random):
    cells = [cell(random, 3, 5), cell(random, 3, 5)]

    def make(build, node, x, state, memory):
        spec = Recurrence(
            layer=keras.layers.LSTM, settings={"units": 5}, cells=cells, backward=False,
            states=[state, memory], wants_sequence=True, wants_states=True,
        )  # fmt: skip
        return recurrent(build, node, x, spec)

    made = built(make, (7, None, 3), (2, None, 5), (2, None, 5), is_image=False, outputs=3)
    x = random.normal(size=(7, 4, 3)).astype(np.float32)
    state, memory = random.normal(size=(2, 2, 4, 5)).astype(np.float32)
    outputs, last, kept = run(made, x, state, memory)
    for place, order in enumerate((slice(None), slice(None, None, -1))):
        wanted = by_loop(x[order], cells[place], state[place], memory[place])
        np.testing.assert_allclose(outputs[:, place], wanted[0][order], atol=1e-5)
        np.testing.assert_allclose(last[place], wanted[1], atol=1e-5)
        np.testing.assert_allclose(kept[place], wanted[2], atol=1e-5)
    assert kinds(made).count("Bidirectional") == 1


def test_gates_are_reordered():
    array = np.arange(8).reshape(1, 8)
    np.testing.assert_array_equal(reordered(array, (1, 0), axis=1), [[4, 5, 6, 7, 0, 1, 2, 3]])

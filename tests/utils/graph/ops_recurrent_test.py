"""Recurrent layers: cut against loops written out in NumPy, and against plain Keras."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.utils.graph.recurrent_networks import classifier, sequence
from utils.graph import capability_report, channel_groups, complexity, from_keras, ops, shrink
from utils.graph.keras_io import to_keras
from utils.graph.law import (
    TOLERANCE,
    TOLERANCE_FLOAT64,
    in_float64,
    law_error,
    relative_error,
)
from utils.graph.surgery import masked_model

BATCH = np.random.default_rng(0).normal(size=(3, 5, 3)).astype("float32")
KEEP = np.array([True, False, True, True, False, True])


def randomize(model, seed=0):
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        values = generator.normal(size=weight.shape) * 0.5
        weight.assign(np.abs(values) if "variance" in weight.name else values)
    return model


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loop_in_numpy(kind, x, weights, mask, *, reset_after=True):
    """One recurrent layer, step by step; what the recurrent kernel reads is multiplied by `mask`.

    Returns:
        The states h [batch, steps, units].
    """
    kernel, recurrent, bias = weights
    units = recurrent.shape[0]
    h = c = np.zeros((len(x), units))
    found = []
    for step in range(x.shape[1]):
        inputs, back = x[:, step] @ kernel, h * mask
        if kind is layers.SimpleRNN:
            h = np.tanh(inputs + back @ recurrent + bias)
        elif kind is layers.LSTM:
            i, f, g, o = np.split(inputs + back @ recurrent + bias, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        elif reset_after:
            z, r, g = np.split(inputs + bias[0], 3, axis=1)
            own_z, own_r, own_g = np.split(back @ recurrent + bias[1], 3, axis=1)
            z = sigmoid(z + own_z)
            h = z * h + (1 - z) * np.tanh(g + sigmoid(r + own_r) * own_g)
        else:
            z, r, g = np.split(inputs + bias, 3, axis=1)
            z = sigmoid(z + back @ recurrent[:, :units])
            r = sigmoid(r + back @ recurrent[:, units : 2 * units])
            g = np.tanh(g + (r * h * mask) @ recurrent[:, 2 * units :])
            h = z * h + (1 - z) * g
        found.append(h)
    return np.stack(found, axis=1)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (layers.SimpleRNN, {}),
        (layers.LSTM, {}),
        (layers.GRU, {}),
        (layers.GRU, {"reset_after": False}),
    ],
    ids=["SimpleRNN", "LSTM", "GRU", "GRU-reset-before"],
)
def test_units_cut_as_a_loop_in_numpy_says(kind, options):
    inputs = sequence()
    head = layers.Dense(4, name="head")
    x = kind(6, return_sequences=True, name="rnn", **options)(inputs)
    model = randomize(keras.Model(inputs, head(x)))
    small = to_keras(shrink(from_keras(model), {"rnn": KEEP}))
    assert small.get_layer("rnn").units == 4

    weights = [weight.numpy().astype("float64") for weight in model.get_layer("rnn").weights]
    states = loop_in_numpy(kind, BATCH, weights, np.ones(6), **options)
    kernel, bias = (weight.numpy() for weight in head.weights)
    np.testing.assert_allclose(model(BATCH), states @ kernel + bias, rtol=1e-4, atol=1e-5)

    states = loop_in_numpy(kind, BATCH, weights, KEEP, **options)
    np.testing.assert_allclose(small(BATCH), (states * KEEP) @ kernel + bias, rtol=1e-4, atol=1e-5)


# Networks with a place for a mask in front of everything that reads units, in plain Keras.


def chain(mask):
    inputs = sequence()
    x = layers.LSTM(6, return_sequences=True, name="first")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.GRU(6, return_sequences=True, name="second")(mask("first", x))
    return classifier(inputs, mask("second", x)[:, -1])


def both_directions(mask):
    inputs = sequence()
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True), name="first")(inputs)
    layer = layers.Bidirectional(layers.LSTM(6), merge_mode="mul", name="second")
    return classifier(inputs, mask("second", layer(mask("first", x, copies=2))))


def states(mask):
    inputs = sequence()
    _, h, c = layers.LSTM(6, return_state=True, name="first")(inputs)
    x = layers.LSTM(6, return_sequences=True, name="goes_on")(inputs, initial_state=[h, c])
    return classifier(inputs, layers.Flatten()(layers.Dense(3)(mask("first", x))))


def backwards_with_mask(mask):
    inputs = sequence()
    x = layers.Masking(0.0)(inputs)
    steps = x._keras_mask
    x = layers.SimpleRNN(6, return_sequences=True, go_backwards=True, name="first")(x)
    x = layers.GRU(6, unroll=True, name="second")(mask("first", x), mask=steps)
    return classifier(inputs, mask("second", x))


def summed(mask):
    inputs = sequence()
    x = layers.GRU(6, return_sequences=True, name="first")(inputs)
    x = x + layers.LSTM(6, return_sequences=True, name="meets")(mask("first", x))
    return classifier(inputs, layers.GlobalAveragePooling1D()(layers.Dense(4)(mask("first", x))))


# Layers whose units are those of the group of another's.
GOES_WITH = {"goes_on": "first", "meets": "first"}


def recurrent_kernels(layer):
    sides = getattr(layer, "forward_layer", layer), getattr(layer, "backward_layer", layer)
    return [side.cell.recurrent_kernel for side in dict.fromkeys(sides) if hasattr(side, "cell")]


@pytest.mark.parametrize("build", [chain, both_directions, states, backwards_with_mask, summed])
def test_law_against_plain_keras(build):
    model = randomize(build(lambda name, x, copies=1: x))
    graph = from_keras(model)
    groups = [group.name for group in channel_groups(graph) if group.prunable]
    keep = {name: np.roll(KEEP, place) for place, name in enumerate(groups) if "dense" not in name}
    batch = np.where(np.arange(5)[None, :, None] < 3, BATCH, 0.0).astype("float32")

    reference = build(lambda name, x, copies=1: x * np.tile(keep[name], copies).astype("float32"))
    reference.set_weights(model.get_weights())
    for layer in reference.layers:
        for kernel in recurrent_kernels(layer):
            alive = keep[GOES_WITH.get(layer.name, layer.name)]
            kernel.assign(kernel.numpy() * alive[:, None])

    small = to_keras(shrink(graph, keep))
    assert relative_error(reference(batch), small(batch)) <= TOLERANCE
    assert relative_error(reference(batch), masked_model(graph, keep)(batch)) <= TOLERANCE
    assert relative_error(model(batch), small(batch)) > 1e-2


def test_cuts_a_column_of_every_gate_and_a_row_of_the_loop():
    inputs = sequence()
    x = layers.GRU(6, name="gru")(layers.Dense(5, name="dense")(inputs))
    graph = from_keras(randomize(classifier(inputs, x)))
    read = np.array([True, True, False, True, False])
    small = shrink(graph, {"gru": KEEP, "dense": read})
    columns = np.flatnonzero(np.tile(KEEP, 3))
    before, after = graph.params["gru"], small.params["gru"]
    np.testing.assert_array_equal(after["kernel"], before["kernel"][read][:, columns])
    rows = before["recurrent_kernel"][KEEP]
    np.testing.assert_array_equal(after["recurrent_kernel"], rows[:, columns])
    np.testing.assert_array_equal(after["bias"], before["bias"][:, columns])
    assert after["bias"].shape == (2, 12) and small.node("gru").attrs["units"] == 4
    assert graph.node("gru").attrs["units"] == 6  # the original is untouched


def test_groups_know_their_loops():
    inputs = sequence()
    x = layers.Bidirectional(layers.LSTM(6), name="both")(layers.Dense(5, name="dense")(inputs))
    groups = {group.name: group for group in channel_groups(from_keras(classifier(inputs, x)))}
    assert groups["dense"].loops == () and [r.node for r in groups["dense"].readers] == ["both"]
    (loop,), (reader,) = groups["both"].loops, groups["both"].readers
    assert loop.node == "both" and loop.channels.tolist() == [*range(6)]
    assert reader.node == "head" and reader.channels.tolist() == [*range(6), *range(6)]
    assert groups["both"].size == 6 and not groups["both"].is_stream


def test_stateful_layers_go_on_alike():
    """Cut and masked network begin with a state of zeros and carry it over from batch to batch."""
    inputs = keras.Input(batch_shape=(3, 5, 3))
    x = layers.LSTM(6, stateful=True, return_sequences=True, name="lstm")(inputs)
    graph = from_keras(randomize(classifier(inputs, layers.GRU(6, stateful=True, name="gru")(x))))
    keep = {"lstm": KEEP, "gru": ~KEEP}
    masked, small = masked_model(graph, keep), to_keras(shrink(graph, keep))
    first, second = masked(BATCH), masked(BATCH)
    assert relative_error(first, second) > 1e-2
    assert relative_error(first, small(BATCH)) <= TOLERANCE
    assert relative_error(second, small(BATCH)) <= TOLERANCE


def test_multiply_adds_by_hand():
    inputs = sequence()
    x = layers.GRU(6, return_sequences=True, name="gru")(inputs)
    x = layers.Bidirectional(layers.LSTM(4, name="lstm"), name="both")(x)
    graph = from_keras(classifier(inputs, x))
    rows = {row.name: row for row in complexity(graph).rows}
    assert rows["gru"].flops == 5 * (3 * 3 * 6 + 6 * 3 * 6)
    assert rows["both"].flops == 2 * 5 * (6 * 4 * 4 + 4 * 4 * 4)
    assert rows["both"].params == 2 * (6 * 16 + 4 * 16 + 16)
    small = complexity(shrink(graph, {"both": np.array([True, False, False, True])}))
    rows = {row.name: row for row in small.rows}
    assert rows["both"].flops == 2 * 5 * (6 * 4 * 2 + 2 * 4 * 2)
    graph.params["gru"]["recurrent_kernel"][:, :6] = 0.0
    sparse = next(row for row in complexity(graph).rows if row.name == "gru")
    assert sparse.flops - sparse.sparse_flops == 5 * 6 * 6


def test_gather_in_front_of_a_bidirectional():
    """One reader of a stream leaves out channels; the layer inside forgets its old input shape."""
    inputs = sequence()
    x = layers.Dense(6, name="dense")(inputs)
    layer = layers.Bidirectional(layers.GRU(4, name="gru"), name="both")
    x = layers.Concatenate()([layer(x), x[:, -1]])
    graph = from_keras(randomize(classifier(inputs, x)))
    small = shrink(graph, {}, {"both": KEEP})
    assert small.params["both"]["forward_gru/gru_cell/kernel"].shape == (4, 12)
    assert law_error(graph, {}, BATCH, {"both": KEEP}) <= TOLERANCE


def test_cut_network_survives_its_file(tmp_path):
    inputs = sequence()
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True), name="both")(inputs)
    x = layers.GRU(6, name="gru")(x)
    graph = from_keras(randomize(classifier(inputs, x)))
    small = to_keras(shrink(graph, {"both": KEEP, "gru": ~KEEP}))
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(loaded(BATCH), small(BATCH))
    again = from_keras(loaded)  # its layers inside were built before those around them
    assert again.params["both"].keys() == graph.params["both"].keys()
    assert [group.prunable for group in channel_groups(again)] == [True, True, False]


def test_law_in_double_precision():
    inputs = sequence()
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True), name="both")(inputs)
    x = layers.TimeDistributed(layers.Dense(6, activation="relu"), name="each")(x)
    graph = in_float64(from_keras(randomize(classifier(inputs, layers.LSTM(6, name="lstm")(x)))))
    keep = {"both": KEEP, "each": ~KEEP, "lstm": KEEP}
    assert law_error(graph, keep, BATCH.astype("float64")) <= TOLERANCE_FLOAT64


def test_different_numbers_of_units_are_opaque():
    inputs = sequence()
    layer = layers.Bidirectional(
        layers.LSTM(4),
        merge_mode=None,
        backward_layer=layers.LSTM(6, go_backwards=True),
        name="both",
    )
    graph = from_keras(keras.Model(inputs, layer(layers.Dense(5, name="dense")(inputs))[0]))
    assert ops.find(graph, graph.node("both")) is None
    assert ops.why_opaque(graph, graph.node("both")) == (
        "its two directions have different numbers of units"
    )


def test_cells_without_a_row_are_opaque():
    inputs = sequence()
    cells = layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])
    graph = from_keras(keras.Model(inputs, layers.Bidirectional(cells, name="both")(inputs)))
    reasons = {line.layer: line.reason for line in capability_report(graph)}
    assert reasons["both"] == (
        "no row for 'keras.layers.RNN', which is inside of it, in the table of ops"
    )


def test_weights_of_another_layer_are_opaque():
    inputs = sequence()
    layer = layers.Bidirectional(layers.GRU(4, name="gru"), name="both")
    graph = from_keras(classifier(inputs, layer(inputs)))
    arrays = dict(graph.params["both"])
    arrays["backward_gru/gru_cell/scale"] = arrays.pop("backward_gru/gru_cell/bias")
    graph = graph.replace(params={**graph.params, "both": arrays})
    assert "its weights are not those of two recurrent layers: forward_gru/gru_cell/kernel" in (
        ops.why_opaque(graph, graph.node("both"))
    )


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (
            lambda x, start: layers.GRU(6, activation="softmax", name="rnn")(x),
            "the activation 'softmax' of 'rnn' mixes them",
        ),
        (
            lambda x, start: layers.LSTM(6, recurrent_activation="softmax", name="rnn")(x),
            "the recurrent_activation 'softmax' of 'rnn' mixes them",
        ),
        (
            lambda x, start: layers.GRU(6, name="rnn")(x, initial_state=start),
            "'rnn' starts from 'start', which is not cut",
        ),
        (
            lambda x, start: layers.GRU(6, name="rnn")(x, np.ones((3, 6), "float32")),
            "'rnn' starts from a constant, which is not cut",
        ),
    ],
    ids=["activation", "gates", "state", "constant"],
)
def test_why_units_are_kept(build, reason):
    inputs, start = sequence(), keras.Input((6,), name="start")
    x = layers.Concatenate()([build(inputs, start), start])
    graph = from_keras(keras.Model([inputs, start], layers.Dense(4)(x)))
    group = next(group for group in channel_groups(graph) if group.name == "rnn")
    assert (group.prunable, group.reason) == (False, reason)

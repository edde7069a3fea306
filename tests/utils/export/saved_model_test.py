import keras
import numpy as np
import pytest
import tensorflow as tf

from utils.export.errors import ExportError
from utils.export.saved_model import input_specs, looping_layers, num_steps, write_saved_model


def nested():
    """Recurrent layers at the top, inside another layer and inside another model."""
    inputs = keras.Input((3, 2), name="frames")
    x = keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True, name="lstm"))(inputs)
    x = keras.layers.GRU(2, name="gru")(x)
    inner = keras.Sequential([keras.Input((2, 1)), keras.layers.SimpleRNN(2, name="rnn")])
    return keras.Model(inputs, inner(keras.layers.Reshape((2, 1))(x)))


def test_loops_are_found_wherever_they_are():
    steps = {layer.name: num_steps(layer) for layer in looping_layers(nested())}
    assert steps == {"forward_lstm": 3, "backward_lstm": 3, "gru": 3, "rnn": 2}
    inputs = keras.Input((4, 2))
    assert looping_layers(keras.Model(inputs, keras.layers.GRU(2, unroll=True)(inputs))) == []


def test_unrolled_networks_compute_the_same(tmp_path):
    model = nested()
    values = np.random.default_rng(0).normal(size=(1, 3, 2)).astype(np.float32)
    expected = model.predict(values, verbose=0)
    names = write_saved_model(model, tmp_path / "unrolled", unroll=True)
    assert set(names) == {"forward_lstm", "backward_lstm", "gru", "rnn"}
    assert write_saved_model(model, tmp_path / "loops") == ()
    operators = {}
    for folder in ("unrolled", "loops"):
        loaded = tf.saved_model.load(tmp_path / folder)
        outputs = np.asarray(loaded.serve(values))
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
        graph = loaded.signatures["serving_default"].graph.as_graph_def()
        operators[folder] = {node.op for f in graph.library.function for node in f.node_def}
    assert any("While" in name for name in operators["loops"])
    assert not any("While" in name for name in operators["unrolled"])
    assert all(layer.unroll is False for layer in looping_layers(model))


def test_too_many_steps_and_open_ones():
    inputs = keras.Input((600, 2))
    model = keras.Model(inputs, keras.layers.GRU(2, name="unit")(inputs), name="long")
    message = (
        r"'long' cannot .*unit have 600 time steps, at most 512 .* Shorten the input, or leave"
    )
    with pytest.raises(ExportError, match=message):
        write_saved_model(model, "unused", unroll=True)

    inputs = keras.Input((6,))
    x = keras.layers.Lambda(lambda t: tf.reshape(t, (-1, tf.shape(t)[1], 1)))(inputs)
    x = keras.layers.Lambda(lambda t: t, output_shape=(None, 1))(x)
    model = keras.Model(inputs, keras.layers.GRU(2, name="unit")(x), name="open")
    with pytest.raises(ExportError, match=r"'unit' has no fixed number of time steps, and a loop"):
        write_saved_model(model, "unused", unroll=True)


def test_specs_are_nested_like_the_inputs():
    one, two = keras.Input((4,), name="one"), keras.Input((2, 3), name="two", dtype="int32")
    x = keras.layers.Concatenate()([one, keras.layers.Flatten()(keras.ops.cast(two, "float32"))])
    specs = input_specs(keras.Model({"one": one, "two": two}, x), batch_size=5)
    assert specs["one"] == tf.TensorSpec((5, 4), tf.float32, name="one")
    assert specs["two"] == tf.TensorSpec((5, 2, 3), tf.int32, name="two")

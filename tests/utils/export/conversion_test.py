"""Files made in a process of their own: equal to those made here, and crashes that stay there."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from utils.export import conversion
from utils.export.config import ConvertConfig
from utils.export.conversion import Exported, convert_all
from utils.export.exporters import EXPORTERS
from utils.export.flatbuffer import read_graph
from utils.export.tflite import convert

CONFIG = ConvertConfig()


def run(content, samples):
    """Run single samples through a file, in integers where it wants them."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for sample in samples:
        values = sample[None]
        if given["dtype"] == np.int8:
            scale, zero = given["quantization"]
            values = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], values)
        interpreter.invoke()
        values = interpreter.get_tensor(taken["index"])[0]
        if taken["dtype"] == np.int8:
            scale, zero = taken["quantization"]
            values = (values.astype(np.float32) - zero) * scale
        outputs.append(values)
    return np.array(outputs)


def relative_error(outputs, expected):
    return np.sqrt(np.mean((outputs - expected) ** 2) / np.mean(expected**2))


@pytest.fixture(scope="module")
def sequences():
    return np.random.default_rng(0).normal(size=(30, 5, 3)).astype(np.float32)


def recurrent(layer):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 3))
    return keras.Model(inputs, keras.layers.Dense(4, name="head")(layer(inputs)))


def test_files_are_those_of_this_process(network, calibration, contents):
    batches = iter([calibration[:60], calibration[60:]])  # read once for both networks
    networks = [Exported(name=name, model=network) for name in ("before", "after")]
    made = convert_all(networks, ["float32", "int8"], CONFIG, batches)
    assert list(made) == [
        ("before", "float32"), ("before", "int8"), ("after", "float32"), ("after", "int8"),
    ]  # fmt: skip
    for (_, kind), found in made.items():
        assert found.content == contents[kind]
        assert (found.notes, found.failed) == ((), "")


class Looping(keras.layers.Layer):
    """A loop that no one can unroll."""

    def call(self, inputs):
        def step(index, state):
            return index + 1, 0.5 * state + keras.ops.sum(inputs, axis=1)

        start = (0, 0.0 * inputs[:, 0, :])
        return keras.ops.while_loop(lambda index, _: index < 5, step, start)[1]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[2])


def test_a_crash_is_a_failed_file_and_the_next_one_is_made(sequences):
    model = recurrent(Looping())
    networks = [Exported(name="after", model=model)]
    made = convert_all(networks, ["int8", "float32"], CONFIG, [sequences])
    assert made["after", "int8"].content is None
    assert made["after", "int8"].failed == (
        "the process of the int8 file crashed while it was converted (SIGSEGV): an error in "
        "TensorFlow Lite. Loops and constant activations are known causes. Leave int8 out of "
        "--tflite."
    )
    content = made["after", "float32"].content
    expected = model.predict(sequences, verbose=0)
    np.testing.assert_allclose(run(content, sequences), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.GRU(6, name="unit"),
        keras.layers.LSTM(6, name="unit"),
        keras.layers.SimpleRNN(6, name="unit"),
        keras.layers.Bidirectional(keras.layers.LSTM(3, name="unit")),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_recurrent_layers_become_int8_unrolled(layer, sequences):
    model = recurrent(layer)
    expected = model.predict(sequences, verbose=0)
    made = convert_all(
        [Exported(name="after", model=model)], ["float32", "int8"], CONFIG, [sequences]
    )
    files = {kind: found.content for (_, kind), found in made.items()}
    assert "WHILE" in {operator.name for operator in read_graph(files["float32"]).operators}
    assert "WHILE" not in {operator.name for operator in read_graph(files["int8"]).operators}
    assert relative_error(run(files["float32"], sequences), expected) < 1e-5
    assert relative_error(run(files["int8"], sequences), expected) < 0.08
    (note,) = made["after", "int8"].notes
    assert "unit stand unrolled in the int8 file: a loop cannot be calibrated" in note
    assert not layer.get_config().get("unroll")
    np.testing.assert_array_equal(model.predict(sequences, verbose=0), expected)


def dead_network():
    """Its first activation is zero on all inputs that are not huge."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="dead")(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="next")(x)
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))
    model.get_layer("dead").bias.assign(np.full(4, -100.0))
    model.get_layer("next").bias.assign([0.1, 0.2, 0.3, 0.4])
    return model


def test_a_dead_activation_runs_in_int8():
    model = dead_network()
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 1)).astype(np.float32)
    found = convert_all([Exported(name="after", model=model)], ["int8"], CONFIG, [images])
    made = found["after", "int8"]
    assert made.failed == ""
    assert "dead" in made.notes[0] and "was zero on every calibration sample" in made.notes[0]
    scales = [
        tensor.scale.min()
        for tensor in read_graph(made.content).tensors
        if tensor.dtype == "int8" and not tensor.constant
    ]
    assert min(scales) > 1e-7
    assert relative_error(run(made.content, images), model.predict(images, verbose=0)) < 0.02


class FakeQuant(keras.layers.Layer):
    def call(self, inputs):
        return tf.quantization.fake_quant_with_min_max_args(inputs, min=-4, max=4)


def test_a_network_made_for_the_device_brings_its_ranges():
    inputs = keras.Input((6,))
    x = FakeQuant()(inputs)
    x = FakeQuant()(keras.layers.Dense(5)(x))
    model = keras.Model(inputs, x)
    network = Exported(name="after", model=model, deployed=model)
    made = convert_all([network], ["int8"], CONFIG, calibration=None)["after", "int8"]
    assert made.failed == ""
    graph = read_graph(made.content)
    assert graph.kind() == "int8" and graph.float_operators() == ()
    scale = graph.tensors[graph.outputs[next(iter(graph.outputs))]].scale[0]
    assert scale == pytest.approx(8 / 255, rel=1e-3)


def test_a_limit_of_time(network):
    networks = [Exported(name="after", model=network)]
    convert_all(networks, ["float32"], CONFIG, None)  # now the process runs
    config = ConvertConfig(tflite_minutes=1e-4)
    made = convert_all(networks, ["float32"], config, None)["after", "float32"]
    assert made.failed == (
        "the float32 file was not ready after 0.0001 minutes (--tflite_minutes). Allow more, or "
        "leave float32 out of --tflite."
    )
    assert convert_all(networks, ["float32"], CONFIG, None)["after", "float32"].content


def test_an_interrupted_request_is_not_answered_later(network, monkeypatch):
    networks = [Exported(name="after", model=network)]

    def interrupted(self, deadline):
        raise KeyboardInterrupt

    process = conversion._process()
    with monkeypatch.context() as patch:
        patch.setattr(conversion._Process, "_receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert_all(networks, ["float32"], CONFIG, None)
    assert not process.is_alive and conversion._process() is not process


def test_a_process_that_is_killed():
    process = conversion._process()
    os.kill(process._process.pid, signal.SIGSTOP)  # it takes no request before it is killed
    os.kill(process._process.pid, signal.SIGKILL)
    made = process.make({"kind": "float32"}, seconds=60)
    assert "was stopped from outside while it was converted, as when memory runs out" in made.failed


def test_what_cannot_be_said_of_a_network_fails_each_file():
    inputs = keras.Input((None, 3), name="frames")
    model = keras.Model(inputs, keras.layers.GRU(2)(inputs), name="open")
    made = convert_all([Exported(name="after", model=model)], ["float32", "int8"], CONFIG, [])
    assert "the input 'frames' of 'open' has no fixed shape" in made["after", "float32"].failed
    assert "an int8 file needs calibration samples" not in made["after", "float32"].failed


def test_needs_of_a_row(network, monkeypatch):
    row = EXPORTERS["float32"]
    monkeypatch.setitem(EXPORTERS, "packed", row._replace(deployed=True))
    monkeypatch.setitem(EXPORTERS, "other", row._replace(package="no_such_package"))
    networks = [Exported(name="after", model=network)]
    made = convert_all(networks, ["packed", "other"], CONFIG, None)
    assert "made of a network that was trained for it, and the learner made none" in (
        made["after", "packed"].failed
    )
    assert "needs the package no_such_package, which is not installed" in (
        made["after", "other"].failed
    )


def test_user_code_that_fails_is_named(sequences):
    class Wrong(keras.layers.Layer):
        def call(self, inputs):
            if not isinstance(inputs, keras.KerasTensor) and inputs.shape[0] == 1:
                raise ValueError("this layer wants more than one sample")
            return inputs[:, 0]

    made = convert_all([Exported(name="after", model=recurrent(Wrong()))], ["float32"], CONFIG, [])
    assert "this layer wants more than one sample" in made["after", "float32"].failed
    assert "in user code" not in made["after", "float32"].failed


def test_conversion_here_refuses_what_would_crash():
    inputs = keras.Input((600, 2))
    model = keras.Model(inputs, keras.layers.GRU(2, name="unit")(inputs), name="long")
    from utils.export.errors import ExportError

    with pytest.raises(ExportError, match=r"'long' .* unit have 600 time steps, at most 512 are"):
        convert(model, "int8", [np.zeros((2, 600, 2), np.float32)])

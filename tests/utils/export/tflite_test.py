import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.export import devices
from utils.errors import InputError
from utils.export.conversion import Exported
from utils.export.errors import ExportError
from utils.export.exporters import EXPORTERS
from utils.export.flatbuffer import read_graph
from utils.export.runner import TFLiteRunner
from utils.export.targets_fit import require_run
from utils.export.tflite import convert


def test_equal_networks_give_equal_bytes(network, contents, calibration):
    assert convert(network, "float32") == contents["float32"]
    assert convert(network, "int8", [calibration]) == contents["int8"]


def test_calibration_does_not_depend_on_batches(network, contents, calibration):
    assert convert(network, "int8", [calibration[:30], calibration[30:]]) == contents["int8"]


def test_batch_normalization_is_folded(contents):
    names = [operator.name for operator in read_graph(contents["float32"]).operators]
    assert not {"MUL", "SUB", "DIV"} & set(names)
    assert not {"SHAPE", "PACK"} & set(names)  # what a dynamic batch would add


def test_the_size_follows_the_kind(contents, network):
    bytes_of_weights = 4 * network.count_params()
    assert len(contents["float32"]) > bytes_of_weights * 0.95
    assert len(contents["int8"]) < 0.5 * len(contents["float32"])
    assert len(contents["dynamic"]) < 0.5 * len(contents["float32"])


def test_leaves_the_model_and_the_terminal_alone(network, calibration, capfd):
    before = network.get_weights()
    convert(network, "int8", [calibration])
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_sequential_and_nested_models():
    inner = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, activation="relu")])
    model = keras.Sequential([keras.Input((6,)), inner, keras.layers.Dense(3)])
    samples = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    outputs = TFLiteRunner(convert(model, "float32"))(samples)
    np.testing.assert_allclose(outputs, model(samples), rtol=1e-5, atol=1e-6)


def test_several_inputs_are_calibrated_by_name():
    one, two = keras.Input((4,), name="one"), keras.Input((4,), name="two")
    heads = [keras.layers.Dense(3)(one), keras.layers.Dense(3)(two)]
    model = keras.Model([one, two], keras.layers.Add()(heads))
    generator = np.random.default_rng(0)
    small = generator.uniform(-1, 1, (20, 4)).astype(np.float32)
    large = 100 * small
    listed = convert(model, "int8", [[small, large]])
    assert convert(model, "int8", [{"two": large, "one": small}]) == listed
    graph = read_graph(listed)
    scales = {name: float(graph.tensors[i].scale[0]) for name, i in graph.inputs.items()}
    assert scales["two"] > 50 * scales["one"]


def test_unknown_kind_and_io(network):
    with pytest.raises(
        InputError,
        match=r"one of float32, dynamic, int8, int8-litert, int16x8, .*sparse. Received: 'int4'",
    ):
        convert(network, "int4")
    with pytest.raises(
        InputError, match=r"`tflite_io` must be one of int8, uint8, float32. Received: 'bool'"
    ):
        convert(network, "int8", [], io_format="bool")


def test_refuses_missing_calibration(network):
    with pytest.raises(InputError, match=r"needs calibration samples. Give about 100"):
        convert(network, "int8")
    with pytest.raises(InputError, match=r"needs calibration samples. Received: none"):
        convert(network, "int8", [])


def test_refuses_unusable_calibration(network):
    with pytest.raises(InputError, match=r"must have the shape \(n, 8, 8, 1\). Received: \(2, 9,"):
        convert(network, "int8", [np.zeros((2, 9, 9, 1))])
    with pytest.raises(InputError, match="'images' contain NaN or infinity"):
        convert(network, "int8", [np.full((2, 8, 8, 1), np.nan)])
    with pytest.raises(InputError, match=r"must hold the inputs \['images'\] and nothing else"):
        convert(network, "int8", [(np.zeros((2, 8, 8, 1)), np.zeros(2))])
    with pytest.raises(InputError, match=r"must hold the inputs \['images'\]"):
        convert(network, "int8", [{"pictures": np.zeros((2, 8, 8, 1))}])


def test_refuses_models_without_fixed_inputs():
    inputs = keras.Input((None, None, 3), name="photo")
    with pytest.raises(InputError, match=r"'photo' of 'any' has no fixed shape: \(None, None, N"):
        convert(keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs), name="any"), "float32")

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(InputError, match="only built Functional and Sequential models"):
        convert(Subclassed(), "float32")


def test_names_operators_that_the_format_lacks(capfd):
    class Inverse(keras.layers.Layer):
        def call(self, inputs):
            return tf.linalg.inv(inputs)

    inputs = keras.Input((4, 4))
    model = keras.Model(inputs, Inverse(name="inverse")(inputs), name="solver")
    with pytest.raises(
        ExportError, match=r"'solver' cannot be .* no operator for MatrixInverse \(in .*inverse"
    ):
        convert(model, "float32")
    assert capfd.readouterr().err == ""


def test_activations_of_16_bits_are_nearer_to_the_network(shortcuts_file):
    """Integers throughout, in LiteRT, in TensorFlow Lite Micro, and for an Ethos-U."""
    model, samples = devices.shortcuts(), devices.noise((8, 8, 2))
    content = convert(model, "int16x8", [samples])
    graph = read_graph(content)
    assert graph.kind() == "int16x8" and graph.float_operators() == ()
    ends = [graph.tensors[n] for n in (*graph.inputs.values(), *graph.outputs.values())]
    assert [(end.dtype, end.zero_point.tolist()) for end in ends] == [("int16", [0])] * 2
    kernels = [graph.tensors[op.inputs[1]] for op in graph.operators if op.name == "CONV_2D"]
    assert len(kernels) == 3 and {kernel.dtype for kernel in kernels} == {"int8"}
    exact = model.predict(samples, verbose=0)
    errors = [
        np.linalg.norm(TFLiteRunner(each)(samples) - exact) for each in (content, shortcuts_file)
    ]
    assert errors[0] < 0.6 * errors[1]
    for target in ("litert", "cortex-m", "ethos-u55"):
        assert require_run(content, target) == ()


def test_ranges_of_8_bits_say_nothing_of_16():
    """Files of 16 bits are made of the plain network, whatever the learner made for the device."""
    pair = Exported(name="after", model=devices.shortcuts(), deployed=devices.misfit())
    assert pair.source(EXPORTERS["int8"]) is pair.deployed
    assert pair.source(EXPORTERS["int16x8"]) is pair.model

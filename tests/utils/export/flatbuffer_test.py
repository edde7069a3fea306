import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from utils.export import flatbuffer
from utils.export.flatbuffer import floored_ranges, read_graph, read_model, write_model
from utils.export.runner import TFLiteRunner
from utils.export.saved_model import write_saved_model
from utils.export.tflite import convert


def test_operators_and_quantization(contents):
    graph = read_graph(contents["int8"])
    names = [operator.name for operator in graph.operators]
    assert names.count("CONV_2D") == 3
    assert {"ADD", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED"} <= set(names)
    assert list(graph.inputs) == ["images"]
    convolution = graph.operators[names.index("CONV_2D")]
    activation, kernel = (graph.tensors[index] for index in convolution.inputs[:2])
    assert not activation.constant and activation.dtype == "int8" and len(activation.scale) == 1
    assert kernel.constant and kernel.dtype == "int8" and len(kernel.scale) == 12  # per channel


def test_operators_follow_their_inputs(contents):
    graph = read_graph(contents["float32"])
    known = set(graph.inputs.values())
    known |= {index for index, tensor in enumerate(graph.tensors) if tensor.constant}
    for operator in graph.operators:
        assert set(operator.inputs) <= known
        known |= set(operator.outputs)
    assert set(graph.outputs.values()) <= known


def test_what_is_equal_is_written_once_and_computes_the_same(contents, monkeypatch):
    content = contents["int8"]
    written = write_model(read_model(content))
    monkeypatch.setattr(flatbuffer, "_SharingBuilder", flatbuffers.Builder)
    assert len(written) < len(write_model(read_model(content)))
    zeros = {
        tensor.Quantization()._tab.Vector(tensor.Quantization()._tab.Offset(10))
        for tensor in _tensors(written)
        if tensor.Quantization() and tensor.Quantization().ZeroPointLength() == 12
    }
    assert len(zeros) == 1  # a kernel of 12 channels and its bias
    old, new = read_graph(content), read_graph(written)
    assert (old.operators, old.inputs, old.outputs) == (new.operators, new.inputs, new.outputs)
    for one, other in zip(old.tensors, new.tensors, strict=True):
        assert (one.name, one.shape, one.dtype) == (other.name, other.shape, other.dtype)
        np.testing.assert_array_equal(one.scale, other.scale)
        np.testing.assert_array_equal(one.zero_point, other.zero_point)
    first, second = TFLiteRunner(content), TFLiteRunner(written)
    images = np.random.default_rng(0).random((4, *old.tensors[old.input_order[0]].shape[1:]))
    np.testing.assert_array_equal(first(images.astype("f4")), second(images.astype("f4")))


def _tensors(content):
    main = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    return [main.Tensors(number) for number in range(main.TensorsLength())]


def test_kinds(contents):
    assert {kind: read_graph(content).kind() for kind, content in contents.items()} == {
        kind: kind for kind in contents
    }


def test_float_operators(contents):
    assert read_graph(contents["int8"]).float_operators() == ()
    assert len(read_graph(contents["dynamic"]).float_operators()) >= 6


def test_names_what_stays_in_float():
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    model = keras.Model(inputs, keras.layers.LayerNormalization()(x))
    samples = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype(np.float32)
    graph = read_graph(convert(model, "int8", [samples]))
    assert graph.kind() == "int8"
    assert graph.float_operators() == ("NEG",)


def test_outputs_are_in_the_order_of_keras():
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(12 - i, name=f"head_{i}")(inputs) for i in range(12)]
    graph = read_graph(convert(keras.Model(inputs, outputs), "float32"))
    assert list(graph.outputs) == [f"head_{index}" for index in range(12)]
    sizes = [graph.tensors[number].shape[-1] for number in graph.outputs.values()]
    assert sizes == list(range(12, 0, -1))
    assert [graph.tensors[n].name for n in graph.outputs.values()] == list(graph.outputs)


def calibrated(model, samples, folder):
    """The float file with ranges that the converter quantizes."""
    write_saved_model(model, folder)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ({"images": s[None]} for s in samples)
    converter._experimental_calibrate_only = True
    return converter.convert()


def ranges(content):
    found = {}
    main = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    for tensor in map(main.Tensors, range(main.TensorsLength())):
        limits = tensor.Quantization()
        if limits is not None and limits.MaxLength():
            found[tensor.Name().decode()] = (limits.Min(0), limits.Max(0))
    return found


def test_only_dead_ranges_are_widened(tmp_path):
    inputs = keras.Input((4,), name="images")
    x = keras.layers.Dense(3, activation="relu", name="dead")(inputs)
    x = keras.layers.Dense(3, name="alive", bias_initializer="ones")(x)
    model = keras.Model(inputs, keras.layers.Concatenate()([x, inputs]))
    model.get_layer("dead").bias.assign(np.full(3, -100.0))
    samples = np.random.default_rng(0).uniform(-2, 2, (20, 4)).astype(np.float32)
    content = calibrated(model, samples, tmp_path)
    floored, names = floored_ranges(content)
    before, after = ranges(content), ranges(floored)
    (name,) = names
    assert "dead" in name
    assert before[name][1] - before[name][0] < 1e-30
    usual = np.median([max(high, 0) - min(low, 0) for low, high in before.values() if high > 1e-30])
    assert after.pop(name) == pytest.approx((0.0, usual / 256))
    assert after == {other: limits for other, limits in before.items() if other != name}


def test_a_file_without_dead_ranges_is_left_alone(network, calibration, tmp_path):
    content = calibrated(network, calibration[:5], tmp_path)
    assert floored_ranges(content) == (content, ())

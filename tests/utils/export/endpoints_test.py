import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests.utils.export import devices
from utils.export.endpoints import output_names, with_names
from utils.export.flatbuffer import read_graph
from utils.export.runner import TFLiteRunner
from utils.export.tflite import convert


def test_names_are_those_of_the_network(shortcuts_file):
    graph = read_graph(shortcuts_file)
    assert (list(graph.inputs), list(graph.outputs)) == (["images"], ["head"])
    ends = (*graph.inputs.items(), *graph.outputs.items())
    assert [graph.tensors[number].name for _, number in ends] == ["images", "head"]
    runner = Interpreter(model_content=shortcuts_file).get_signature_runner()
    assert runner(images=np.zeros((1, 8, 8, 2), np.int8))["head"].shape == (1, 10)


def heads(names):
    inputs = keras.Input((4,), name="x")
    layer = keras.layers.Dense(2, name="twice")
    outputs = [layer(inputs), layer(keras.ops.relu(inputs))]
    outputs += [keras.layers.Dense(3 + i, name=name)(inputs) for i, name in enumerate(names)]
    return keras.Model(inputs, outputs)


def test_a_name_that_comes_twice_gets_a_number():
    model = heads(["twice_1"])
    assert output_names(model) == ("twice", "twice_1", "twice_1_1")
    graph = read_graph(convert(model, "float32"))
    sizes = [graph.tensors[number].shape[-1] for number in graph.outputs.values()]
    assert list(graph.outputs) == list(output_names(model)) and sizes == [2, 2, 3]


def test_a_file_that_has_its_names_stays_as_it_is():
    """Names that are in no order of theirs."""
    model = heads(["b", "a"])
    content = convert(model, "float32")
    assert with_names(content, output_names(model)) == content
    assert list(read_graph(content).outputs) == ["twice", "twice_1", "b", "a"]


def test_names_that_look_like_the_converters_own_do_not_change_the_order(contents):
    assert list(read_graph(contents["float32"]).outputs) == ["fc"]
    inputs = keras.Input((4,), name="x")
    outputs = [keras.layers.Dense(2 + i, name=f"output_{1 - i}")(inputs) for i in range(2)]
    graph = read_graph(convert(keras.Model(inputs, outputs), "float32"))
    assert [graph.tensors[n].shape[-1] for n in graph.outputs.values()] == [2, 3]


def test_a_network_that_gives_a_dict_keeps_its_names():
    inputs = keras.Input((4,), name="x")
    outputs = {name: keras.layers.Dense(size)(inputs) for name, size in (("b", 2), ("a", 3))}
    model = keras.Model(inputs, outputs)
    graph = read_graph(convert(model, "float32"))
    assert [(n, graph.tensors[i].shape[-1]) for n, i in graph.outputs.items()] == [
        ("a", 3),
        ("b", 2),
    ]


def test_files_with_other_outputs_are_left_as_they_are(contents):
    assert with_names(contents["int8"], ("one", "two")) == contents["int8"]


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_what_goes_in_and_out(kind, shortcuts_file):
    model, samples = devices.shortcuts(), devices.noise((8, 8, 2))
    content = convert(model, "int8", [samples], io_format=kind)
    graph = read_graph(content)
    ends = [graph.tensors[n] for n in (*graph.inputs.values(), *graph.outputs.values())]
    assert [end.dtype for end in ends] == [kind, kind]
    assert [end.name for end in ends] == ["images", "head"]
    outputs, expected = (TFLiteRunner(each)(samples) for each in (content, shortcuts_file))
    step = read_graph(shortcuts_file).tensors[read_graph(shortcuts_file).outputs["head"]].scale[0]
    assert np.abs(outputs - expected).max() <= step * 1.001

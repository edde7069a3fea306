"""The table of ops is about Keras as it is installed."""

import importlib

import keras
import pytest
from keras import layers

from utils.graph import from_keras, ops
from utils.graph.row import IN, MID, OUT, SELF


@pytest.mark.parametrize("path", ops.TABLE)
def test_every_row_names_an_operation_of_keras(path):
    module, _, name = path.rpartition(".")
    if ">" in path:  # a registered class of ours
        importlib.import_module("utils.quantization.activation")
        importlib.import_module("utils.quantization.fake_quant")
        cls = keras.saving.get_registered_object(path)
    else:
        cls = getattr(importlib.import_module(module), name)
    assert issubclass(cls, keras.Operation)


def test_rows_are_consistent():
    for path, row in ops.TABLE.items():
        roles = {role for axes in row.weights.values() for role in axes.values()}
        assert roles <= {IN, MID, OUT, SELF}, path
        assert set(row.uses) <= set(row.weights), path
        assert row.kernel is None or row.kernel in row.weights, path
        assert row.folds is None or row.folds[0] in row.weights, path
        assert row.note, path


@pytest.mark.parametrize(
    "layer",
    [
        *(layers.Conv1D(2, 1), layers.SeparableConv1D(2, 1), layers.DepthwiseConv1D(1)),
        *(layers.Dense(2), layers.BatchNormalization(), layers.GroupNormalization(2)),
        *(layers.LayerNormalization(), layers.RMSNormalization(), layers.PReLU()),
        *(layers.EinsumDense("abc,cd->abd", (3, 2), bias_axes="d"), layers.Normalization()),
        *(layers.SimpleRNN(2), layers.GRU(2), layers.LSTM(2)),
    ],
    ids=lambda layer: layer.name,
)
def test_rows_list_all_weights_of_their_layers(layer):
    inputs = keras.Input((3, 4))
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    node = graph.nodes[-1]
    assert set(graph.params[layer.name]) <= set(ops.TABLE[node.op].weights)
    assert ops.find(graph, node) is ops.TABLE[node.op]


@pytest.mark.parametrize(
    "layer",
    [
        layers.TimeDistributed(layers.Dense(2)),
        layers.Bidirectional(layers.GRU(2)),
        layers.TimeDistributed(layers.BatchNormalization()),
    ],
    ids=lambda layer: layer.name,
)
def test_rows_around_others_list_the_weights_inside(layer):
    inputs = keras.Input((3, 4))
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    node = graph.nodes[-1]
    found = ops.find(graph, node)
    assert list(found.weights) == list(graph.params[layer.name]) and found.of is None
    assert set(found.uses) <= set(found.weights)
    assert (found.kernel is None) == (not found.uses)


def test_unknown_op_is_opaque():
    inputs = keras.Input((3, 4))
    graph = from_keras(keras.Model(inputs, layers.RNN(layers.GRUCell(2), name="rnn")(inputs)))
    assert ops.find(graph, graph.node("rnn")) is None
    assert ops.why_opaque(graph, graph.node("rnn")) == (
        "no row for 'keras.layers.RNN' in the table of ops"
    )


def test_table_for_the_documentation_has_every_op_once():
    rows = ops.markdown_table().splitlines()[2:]
    names = [name for row in rows for name in row.split("|")[1].strip().split(", ")]
    assert len(names) == len(set(names)) == len(ops.TABLE)


@pytest.mark.parametrize(
    ("layer", "weight", "size"),
    [
        (layers.Conv2D(5, 3, name="it"), "kernel", 3),
        (layers.Dense(5, name="it"), "kernel", 3),
        (layers.Conv2DTranspose(5, 3, name="it"), "kernel", 3),
    ],
)
def test_axis_that_reads_channels(layer, weight, size):
    inputs = keras.Input((8, 8, 3))
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    ((name, axis),) = ops.input_axes(graph, graph.node("it"))
    assert name == weight
    assert graph.params["it"][name].shape[axis] == size


def test_layers_without_a_kernel_are_refused():
    inputs = keras.Input((8, 8, 3))
    graph = from_keras(keras.Model(inputs, layers.ReLU(name="act")(inputs)))
    with pytest.raises(ValueError, match=r"'act' \(keras.layers.ReLU\) has no weight that reads"):
        ops.input_axes(graph, graph.node("act"))

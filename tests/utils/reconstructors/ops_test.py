"""Every row of the op table, in every target, against Keras; or refused, with a reason."""

import functools

import keras
import pytest

from tests.utils.reconstructors.samples import GROUPS
from utils.errors import InputError
from utils.graph import from_keras, ops, to_keras
from utils.graph.ir import INPUT_LAYER
from utils.graph.keras_io import dry_run
from utils.reconstructors.onnx_model import onnx_model
from utils.reconstructors.ops import REFUSED, TABLE
from utils.reconstructors.targets import TARGETS, distance, keras_run, random_inputs, run_at_border


@functools.cache
def sample(group):
    """Build a group once: its graph, inputs, and what Keras gives."""
    model = GROUPS[group]()
    graph = from_keras(model)
    inputs = random_inputs(graph)
    return graph, inputs, keras_run(model)(inputs)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("group", GROUPS)
def test_every_row_agrees_with_keras(group, kind, tmp_path):
    pytest.importorskip({"torch": "torch", "onnx": "onnxruntime"}[kind])
    graph, inputs, expected = sample(group)
    target, path = TARGETS[kind], tmp_path / f"net{TARGETS[kind].ending}"
    run = target.make(graph, path, False)
    found = run_at_border(target, graph, run, inputs, channels_last=False)
    far = {
        ref.node: distance([made], [wanted])
        for ref, made, wanted in zip(graph.outputs, found, expected, strict=True)
        if distance([made], [wanted]) > 1e-4
    }
    assert not far


@pytest.mark.parametrize("group", GROUPS)
def test_keras_builds_every_row(group):
    graph = sample(group)[0]
    dry_run(graph)  # .keras, .pb and SavedModel are Keras' own work from there on
    assert len(to_keras(graph).outputs) == len(graph.outputs)


@pytest.mark.parametrize("group", ["combinations", "moves", "quantized"])
def test_frozen_graphs_take_every_kind_of_row(group, tmp_path):
    graph, inputs, expected = sample(group)
    found = TARGETS["pb"].make(graph, tmp_path / "net.pb", False)(inputs)
    assert distance(found, expected) <= 1e-6


def test_no_row_is_forgotten():
    seen = {node.op for group in GROUPS for node in sample(group)[0].nodes}
    rows = set(ops.TABLE) - {INPUT_LAYER}
    assert rows - seen - set(REFUSED) == set(), "no sample holds them"
    assert rows - set(TABLE) - set(REFUSED) == set(), "neither rebuilt nor refused"
    assert not set(TABLE) & set(REFUSED)


def test_what_is_refused_says_why():
    pytest.importorskip("onnx")
    inputs = keras.Input((4, 3))
    x = keras.layers.Masking(name="mask")(inputs)
    x = keras.ops.sparsemax(x)
    graph = from_keras(keras.Model(inputs, keras.layers.Dense(2)(x)))
    with pytest.raises(InputError) as refusal:
        onnx_model(graph)
    for op in ("Masking", "Sparsemax"):  # both, at once
        assert op in str(refusal.value)
    for reason in (REFUSED["keras.layers.Masking"], REFUSED["keras.src.ops.nn.Sparsemax"]):
        assert reason in str(refusal.value)

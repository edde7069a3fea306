"""The form of integer kernels: equal outputs, and where tensors come from."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.learners.networks import images, randomised
from tests.utils.graph.mobile import mobile
from utils.graph import Graph, Ref, from_keras, to_keras
from utils.graph.integer_form import inference_form, integer_form
from utils.graph.keras_io import to_keras_with_tensors
from utils.graph.law import relative_error
from utils.graph.ops_weighted import FUSED


@pytest.fixture(scope="module")
def forms() -> tuple[keras.Model, Graph, Graph]:
    model = mobile()
    form = integer_form(from_keras(model))
    return model, form, inference_form(form)[0]


def test_both_forms_compute_the_same(forms) -> None:
    model, form, fused = forms
    batch = images(8)
    for graph in (form, fused):
        assert relative_error(model(batch), to_keras(graph)(batch)) <= 1e-5


def test_kernels_hold_only_activations_that_they_compute(forms) -> None:
    _, form, _ = forms
    kernels = [node for node in form.nodes if "kernel" in form.params.get(node.layer, {})]
    assert {node.attrs["activation"] for node in kernels} <= set(FUSED)
    assert form.node("head_activation").attrs["activation"] == "softmax"
    assert [
        node.op.rpartition(".")[2] for node in form.nodes if node.layer.startswith("apart")
    ] == [
        "DepthwiseConv2D",
        "Conv2D",
        "Activation",
    ]


def test_norms_stay_but_behind_kernels_of_one_scale(forms) -> None:
    _, form, fused = forms
    assert "norm" in form.params and "alone" in form.params and "hidden_norm" not in form.params
    norms = [node.name for node in fused.nodes if node.op.endswith("BatchNormalization")]
    assert not norms
    assert fused.node("alone").op.endswith("DepthwiseConv2D")
    assert fused.params["alone"]["kernel"].shape == (1, 1, 8, 1)


def test_origins_are_the_same_tensors(forms) -> None:
    _, form, _ = forms
    fused, origins = inference_form(form)
    batch = images(4)
    found, before = ({}, {})
    for graph, values in ((fused, found), (form, before)):
        model, tensors = to_keras_with_tensors(graph)
        refs = [ref for ref in tensors if graph.node(ref.node).inputs]
        outputs = keras.Model(model.inputs, [tensors[ref] for ref in refs])([batch])
        values.update(zip(refs, outputs, strict=True))
    assert Ref("reduce") not in origins  # its ReLU is its own
    assert origins[Ref("alone")].node.startswith("re_lu")
    assert origins[Ref("stem")] == Ref("norm")
    for ref, value in found.items():
        np.testing.assert_allclose(value, before[origins.get(ref, ref)], rtol=1e-3, atol=1e-4)


def test_layers_that_are_called_twice_stay_as_they_are() -> None:
    inputs = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 1, activation="tanh", name="conv")
    model = randomised(keras.Model(inputs, conv(conv(inputs))))
    graph = integer_form(from_keras(model))
    assert [node.name for node in graph.nodes][1:] == ["conv", "conv#1"]

"""A whole network with quantizers in it, as Keras and as a file."""

import pathlib

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests.learners.networks import images
from tests.utils.graph.mobile import mobile
from utils.export.exporters import Source
from utils.export.flatbuffer import read_graph
from utils.export.runner import TFLiteRunner
from utils.export.saved_model import write_saved_model
from utils.export.tflite import int8_file, quiet_converter
from utils.graph import from_keras, to_keras
from utils.graph.integer_form import inference_form, integer_form
from utils.quantization.activation import NO_BITS
from utils.quantization.fake_quant_graph import (
    deployed_graph,
    floored_limit,
    weight_limit,
    with_ranges,
    without_quantizers,
)
from utils.quantization.integers import integer_plan
from utils.quantization.observation import observe


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, bytes]:
    """Quantize a network by the ends of its ranges; make the file."""
    fused, _ = inference_form(integer_form(from_keras(mobile())))
    plan = integer_plan(fused)
    refs = [ref for place in plan.activations for ref in place.refs]
    seen = observe(fused, refs, [images()], with_histogram=False)
    ends = [
        (min(seen[r].least[0] for r in p.refs), max(seen[r].greatest[0] for r in p.refs))
        for p in plan.activations
    ]
    weights = [
        (place, 8, weight_limit(fused.params[place.layer][place.weight], place.axes))
        for place in plan.weights
    ]
    model = to_keras(deployed_graph(fused, plan, ends, weights))
    folder = tmp_path_factory.mktemp("deployed")
    with quiet_converter():
        write_saved_model(model, folder, unroll=False)
        made = int8_file(Source(saved_model=pathlib.Path(folder), ranges_inside=True))
    return model, made.content


def test_all_of_the_file_is_integers(deployed) -> None:
    graph = read_graph(deployed[1])
    assert graph.kind() == "int8" and not graph.float_operators()
    interpreter = Interpreter(model_content=deployed[1])
    kinds = {row["dtype"] for row in interpreter.get_tensor_details()}
    assert kinds == {np.int8, np.int32}  # activations and weights, biases and shapes


def test_no_operator_converts_between_ranges(deployed) -> None:
    names = [row["op_name"] for row in Interpreter(model_content=deployed[1])._get_ops_details()]
    assert "QUANTIZE" not in names and "DEQUANTIZE" not in names
    assert names.count("HARD_SWISH") == 2 and "CONCATENATION" in names and "SOFTMAX" in names


def test_the_file_computes_what_keras_does(deployed) -> None:
    model, content = deployed
    batch = images(200, seed=1)
    wanted, found = np.asarray(model(batch)), TFLiteRunner(content, num_threads=1)(batch)
    assert (
        np.mean(wanted.argmax(1) == found.argmax(1)) >= 0.95
    )  # scores of random weights lie close
    assert np.abs(wanted - found).mean() < 2 / 256


def test_quantizers_that_pass_all_change_nothing() -> None:
    form = integer_form(from_keras(mobile()))
    fused, origins = inference_form(form)
    places = integer_plan(fused).activations
    idle = with_ranges(form, places, [(0.0, 1.0)] * len(places), bits=NO_BITS, origins=origins)
    assert len(idle.nodes) == len(form.nodes) + sum(len(place.refs) for place in places)
    np.testing.assert_array_equal(to_keras(idle)(images()), to_keras(form)(images()))


def test_quantizers_are_taken_out_again(deployed) -> None:
    fused, _ = inference_form(integer_form(from_keras(mobile())))
    plan = integer_plan(fused)
    found = without_quantizers(from_keras(deployed[0]))
    assert [node.op for node in found.graph.nodes] == [node.op for node in fused.nodes]
    np.testing.assert_array_equal(to_keras(found.graph)(images()), to_keras(fused)(images()))
    assert len(found.ranges) == sum(len(place.refs) for place in plan.activations)
    assert all(least <= 0 < greatest for least, greatest in found.ranges.values())
    assert found.bits == {place.layer: 8 for place in plan.weights}


def test_limits() -> None:
    kernel = np.arange(-6.0, 6.0).reshape(1, 2, 3, 2)
    np.testing.assert_array_equal(weight_limit(kernel, (-1,)), [6, 5])
    np.testing.assert_array_equal(weight_limit(kernel, (-2, -1)), [6, 5, 4, 3, 4, 5])
    assert weight_limit(kernel, ()).shape == () and weight_limit(kernel, ()) == 6
    np.testing.assert_allclose(floored_limit(np.array([0.0, 2.0])), [2e-5, 2.0])
    assert floored_limit(np.zeros(2)).tolist() == [1.0, 1.0]

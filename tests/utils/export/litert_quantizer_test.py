"""Ranges that we chose, in files that litert-quantizer makes."""

import pathlib

import keras
import numpy as np
import pytest

from learners.post_training.config import PostTrainingConfig
from learners.post_training.recipe import quantize
from utils.errors import InputError
from utils.export import litert_quantizer
from utils.export.exporters import Source
from utils.export.flatbuffer import read_graph
from utils.export.runner import TFLiteRunner
from utils.export.saved_model import write_saved_model
from utils.export.tflite import convert, int8_file, quiet_converter
from utils.graph import Graph, from_keras, to_keras


@pytest.fixture(scope="module")
def graph_of_all_kinds() -> Graph:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    y = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="deep")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(keras.layers.Add(name="sum")([x, y]))
    return from_keras(keras.Model(inputs, keras.layers.Dense(5, name="fc")(x)))


@pytest.mark.parametrize(("bits", "strategy"), [(8, "minmax"), (16, "symmetry_max")])
def test_tensors_have_the_ranges_they_are_given(bits: int, strategy: str) -> None:
    pytest.importorskip(litert_quantizer.PACKAGE)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    graph = from_keras(keras.Model(inputs, keras.layers.Dense(5, name="fc")(x)))
    images = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype(np.float32)
    config = PostTrainingConfig(strategy=strategy, activation_bits=bits, calibration="minmax")
    trained = quantize(graph, config, [images])
    content = litert_quantizer.quantized_file(
        convert(to_keras(trained.graph), "float32"),
        trained.ends(),
        [{"image": images[:1]}],
        outputs=["fc"],
        activation_bits=bits,
    )
    found = read_graph(content)
    steps = [float(found.tensors[each.outputs[0]].scale[0]) for each in found.operators]
    by_node = {ref.node: float(s.scale[0]) for ref, s in trained.scalings.items()}
    expected = [by_node[name] for name in ("conv", "mean", "fc")]
    np.testing.assert_allclose(steps, expected, rtol=1e-3)
    outputs = np.asarray(TFLiteRunner(content)(images))
    simulated = np.asarray(to_keras(trained.simulated())(images))
    assert np.abs(outputs - simulated).max() <= 3 * expected[-1]


def test_what_has_no_form_of_4_bits_has_8(graph_of_all_kinds: Graph) -> None:
    """Depthwise kernels, sums and means would be left in float otherwise."""
    pytest.importorskip(litert_quantizer.PACKAGE, reason="the extra `litert` is not installed")
    images = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype(np.float32)
    trained = quantize(graph_of_all_kinds, PostTrainingConfig(weight_bits=4), [images])
    content = litert_quantizer.quantized_file(
        convert(to_keras(trained.graph), "float32"),
        trained.ends(),
        [{"image": images[:1]}],
        outputs=["fc"],
        weight_bits=4,
    )
    found = read_graph(content)
    assert not found.float_operators()
    kinds = {
        each.name: found.tensors[each.inputs[1]].dtype
        for each in found.operators
        if each.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    }
    assert kinds == {"CONV_2D": "int4", "DEPTHWISE_CONV_2D": "int8", "FULLY_CONNECTED": "int4"}
    outputs = np.asarray(TFLiteRunner(content)(images))
    simulated = np.asarray(to_keras(trained.simulated())(images))
    assert np.linalg.norm(outputs - simulated) < 0.1 * np.linalg.norm(simulated)


def test_both_ways_make_the_same_of_what_a_learner_found(tmp_path: pathlib.Path) -> None:
    """Ranges and weights of a network with fake quantization inside, through both makers."""
    pytest.importorskip(litert_quantizer.PACKAGE, reason="the extra `litert` is not installed")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.DepthwiseConv2D(3, activation="relu6", name="deep")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    graph = from_keras(keras.Model(inputs, keras.layers.Dense(5, name="fc")(x)))
    images = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype(np.float32)
    model = to_keras(quantize(graph, PostTrainingConfig(), [images]).deployed())
    samples = [{"image": images[:1]}]
    ours = litert_quantizer.litert_file(Source(model=model, samples=samples)).content
    with quiet_converter():
        write_saved_model(model, tmp_path)
        other = int8_file(Source(saved_model=tmp_path, ranges_inside=True)).content
    files = [read_graph(content) for content in (ours, other)]
    assert [file.kind() for file in files] == ["int8", "int8"]
    first, second = (file.tensors[next(iter(file.outputs.values()))] for file in files)
    step = float(first.scale[0])
    assert step == pytest.approx(float(second.scale[0]), rel=1e-3)
    found = [np.asarray(TFLiteRunner(content)(images)) for content in (ours, other)]
    assert np.ptp(found[0]) > 50 * step  # there is something to agree on
    assert np.abs(found[0] - found[1]).max() <= 1.01 * step


def test_other_integers_than_int8_are_refused() -> None:
    with pytest.raises(InputError, match=r"take and give int8\. Received: --tflite_io=uint8"):
        litert_quantizer.litert_file(Source(io_format="uint8"))


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install '.\[litert\]'"):
        litert_quantizer.require_package()

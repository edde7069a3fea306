"""A small residual network, trained on digits for a moment, and its files."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.utils.export import devices
from utils.export.tflite import convert


@pytest.fixture(scope="session")
def digits():
    """((train images, labels), (test images, labels)); images float32 [n, 8, 8, 1] in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:1200], order[1200:]
    return (images[train], labels[train]), (images[test], labels[test])


@pytest.fixture(scope="session")
def network(digits):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1), name="images")
    stem = keras.layers.Conv2D(12, 3, padding="same", use_bias=False, name="stem")(inputs)
    stem = keras.layers.ReLU(name="relu0")(
        keras.layers.BatchNormalization(momentum=0.9, name="bn0")(stem)
    )
    x = keras.layers.Conv2D(12, 3, padding="same", use_bias=False, name="conv1")(stem)
    x = keras.layers.ReLU(name="relu1")(
        keras.layers.BatchNormalization(momentum=0.9, name="bn1")(x)
    )
    x = keras.layers.Conv2D(12, 3, padding="same", name="conv2")(x)
    x = keras.layers.ReLU(name="relu2")(keras.layers.Add(name="add")([stem, x]))
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, name="fc")(x), name="net")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(*digits[0], batch_size=60, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="session")
def calibration(digits):
    return digits[0][0][:100]


@pytest.fixture(scope="session")
def contents(network, calibration):
    """The network's files by kind."""
    return {kind: convert(network, kind, [calibration]) for kind in ("float32", "dynamic", "int8")}


@pytest.fixture(scope="session")
def batches(digits):
    """Held-out batches, the last one smaller."""
    images, labels = digits[1]
    return [(images[i : i + 100], labels[i : i + 100]) for i in range(0, len(labels), 100)]


@pytest.fixture(scope="session")
def accuracy():
    return lambda labels, outputs: {
        "accuracy": np.mean(np.argmax(np.asarray(outputs), -1) == np.asarray(labels))
    }


def _few(kernel, axes, bits):
    """Give a kernel few values, others for each index on the axes."""
    others = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
    largest = np.abs(kernel).max(others, keepdims=True)
    high = 2 ** (bits - 1) - 1
    parts = np.rint(kernel / largest * high) / high
    powers = np.linspace(0.6, 1.6, largest.size).reshape(largest.shape)
    return largest * np.sign(parts) * np.abs(parts) ** powers


@pytest.fixture(scope="session")
def low_bit_network():
    """Every layer whose weights can be decoded, a shared one too, with 3 bits a channel."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 12), name="images")
    x = keras.layers.DepthwiseConv2D(7, padding="same", activation="relu", name="depthwise")(inputs)
    x = keras.layers.Conv2D(16, 3, padding="same", name="conv")(x)
    shared = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="shared")
    x = shared(shared(x))
    x = keras.layers.Conv2DTranspose(16, 3, strides=2, padding="same", name="transposed")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    x = keras.layers.Dense(32, activation="relu", name="small")(x)
    x = keras.layers.Dense(32, activation="relu", name="dense")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, name="fc")(x), name="few")
    for layer in model.layers:
        if layer.weights and layer.name != "fc":
            axes = {"depthwise": (2, 3), "transposed": (2,)}.get(layer.name, (-1,))
            kernel = layer.get_weights()[0]
            positive = [axis % kernel.ndim for axis in axes]
            layer.set_weights([_few(kernel, positive, 3), *layer.get_weights()[1:]])
    return model


@pytest.fixture(scope="session")
def low_bit_images():
    return np.random.default_rng(0).normal(size=(20, 8, 8, 12)).astype(np.float32)


@pytest.fixture(scope="session")
def low_bit_file(low_bit_network, low_bit_images):
    """Its plain int8 file."""
    return convert(low_bit_network, "int8", [low_bit_images])


@pytest.fixture(scope="session")
def shortcuts_file():
    """The int8 file of `devices.shortcuts`."""
    return convert(devices.shortcuts(), "int8", [devices.noise((8, 8, 2))])


@pytest.fixture(scope="session")
def misfit_file():
    """The int8 file of `devices.misfit`."""
    return convert(devices.misfit(), "int8", [devices.noise((4, 4, 2))])

import keras
import numpy as np
import pytest

from benchmarks.packed_rows import ROWS, decode_figures, packed_figures, resnet_8, rounded


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 16))
    x = keras.layers.Conv2D(32, 3, activation="relu")(inputs)
    x = keras.layers.Conv2D(32, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return rounded(keras.Model(inputs, keras.layers.Dense(4)(x)), 4)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(10, 8, 8, 16)).astype(np.float32)


def test_rounded_kernels_have_few_values(network):
    for kernel in (weight for weight in network.get_weights() if weight.ndim >= 2):
        for channel in np.moveaxis(kernel, -1, 0):
            assert len(np.unique(channel)) <= 15


def test_packed_figures(network, images):
    found = packed_figures(network, 4, images)
    kernels = 9 * 16 * 32 + 9 * 32 * 32 + 32 * 4
    assert found["computed"] == kernels / 2 + 4 * (32 + 32 + 4) + 4 * (32 + 32 + 4)
    assert found["payload_to_computed"] <= 1.02 and found["payload_bytes"] < found["bytes"]
    assert found["equal_weights"] == found["equal_outputs"] == 1


def test_decode_figures(network, images):
    found = decode_figures(network, 4, images)
    assert found["decoded_tensors"] == 2 and found["equal_inputs"] == 1
    saved = (9 * 16 * 32 + 9 * 32 * 32) / 2 - 2 * 32 * 15
    assert found["computed"] == found["int8_bytes"] - saved
    assert found["bytes"] < found["int8_bytes"] and found["bytes_to_computed"] <= 1.05


def test_resnet_8_is_that_of_mlperf_tiny():
    assert resnet_8().count_params() == 78_666
    assert len({row.name for row in ROWS}) == len(ROWS) == 10

import keras
import numpy as np
import pytest

from utils.export.layer_errors import rank_layers
from utils.export.tflite import convert


def test_names_every_layer_of_a_healthy_file(network, contents, digits):
    rows = rank_layers(contents["int8"], contents["float32"], digits[1][0][:16], network)
    assert {row.layer for row in rows} == {
        "stem", "conv1", "conv2", "add", "pool", "flatten", "fc"
    }  # fmt: skip
    assert [row.operator for row in rows if row.layer == "fc"] == ["FULLY_CONNECTED"]
    assert all(row.snr_db > 20 and row.cosine > 0.99 for row in rows)
    added = [row.added_nmse for row in rows]
    assert added == sorted(added, reverse=True)


def test_the_float_file_has_no_error(network, contents, digits):
    rows = rank_layers(contents["float32"], contents["float32"], digits[1][0][:2], network)
    assert all(row.nmse == 0 and row.snr_db == np.inf for row in rows)


def test_dynamic_files_are_compared_too(network, contents, digits):
    rows = rank_layers(contents["dynamic"], contents["float32"], digits[1][0][:4], network)
    assert rows[0].nmse > 0 and rows[0].clipped == 0


@pytest.fixture
def spoiled(network):
    """The network with one channel of conv1 a thousand times too large and read by nobody."""
    model = keras.models.clone_model(network)
    model.set_weights(network.get_weights())
    gamma, beta, mean, variance = model.get_layer("bn1").get_weights()
    gamma[0] *= 1000
    beta[0] = 1000
    model.get_layer("bn1").set_weights([gamma, beta, mean, variance])
    kernel, bias = model.get_layer("conv2").get_weights()
    kernel[:, :, 0] = 0
    model.get_layer("conv2").set_weights([kernel, bias])
    return model


def test_finds_the_layer_with_a_stretched_range(spoiled, calibration):
    content = convert(spoiled, "int8", [calibration])
    rows = rank_layers(content, convert(spoiled, "float32"), calibration[:16], spoiled)
    # conv1's own error is small against the large channel; it shows where that is dropped.
    assert rows[0].layer == "conv2"
    assert rows[0].snr_db < 15


def test_finds_ranges_that_are_too_small(network, contents, calibration):
    content = convert(network, "int8", [calibration / 8])
    rows = rank_layers(content, contents["float32"], calibration[:16], network)
    assert rows[0].clipped > 0.01
    assert "outside the calibrated range: calibrate with more or other" in rows[0].suggestion


def test_several_inputs_by_name_or_list():
    one, two = keras.Input((4,), name="one"), keras.Input((4,), name="two")
    joined = keras.layers.Concatenate(name="join")([one, two])
    model = keras.Model([one, two], keras.layers.Dense(3, name="head")(joined))
    values = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    files = convert(model, "int8", [[values, values]]), convert(model, "float32")
    named = rank_layers(*files, {"one": values, "two": values}, model)
    assert named == rank_layers(*files, [values, values], model)
    assert {row.layer for row in named} == {"join", "head"}

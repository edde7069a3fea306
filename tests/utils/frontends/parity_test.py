"""Distances, random inputs and arrays of the user's."""

import math

import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.frontends import parity
from utils.frontends.convert import Converted


def converted(shape=(None, 4, 5, 3)):
    inputs = keras.Input(batch_shape=shape, name="image")
    model = keras.Model(inputs, keras.layers.Rescaling(2.0)(inputs))
    return Converted(model, {"x": (0, 2, 3, 1)}, {"y": (0, 2, 3, 1)})


@pytest.mark.parametrize(
    ("made", "wanted", "expected"),
    [
        ([1.0, 2.5], [1.0, 2.0], 0.25),
        ([0.1], [0.0], 0.1),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0),
        ([np.nan, 1.0], [0.0, 1.0], math.inf),
        ([0.0, 1.0], [np.nan, 1.0], math.inf),
        ([np.inf, 1.0], [np.inf, 1.0], 0.0),
        ([np.nan, 1.0], [np.inf, 1.0], math.inf),
        ([-np.inf, 1.0], [np.inf, 1.0], math.inf),
        ([np.nan, np.nan], [np.nan, np.nan], math.inf),  # nothing is compared
        ([[1.0]], [1.0], math.inf),
        ([], [], 0.0),
    ],
)
def test_distances(made, wanted, expected):
    assert parity.distance(np.array(made), np.array(wanted)) == pytest.approx(expected)


def test_random_inputs_are_the_sources():
    inputs = parity.random_inputs(converted(), seed=3)
    assert inputs["x"].shape == (1, 3, 4, 5)
    np.testing.assert_array_equal(parity.random_inputs(converted(), seed=3)["x"], inputs["x"])
    np.testing.assert_allclose(parity.outputs(converted(), inputs)["y"], 2 * inputs["x"])
    assert parity.against_source(converted(), lambda given: {"y": 2 * given["x"]}, seed=0) == 0
    assert parity.against_source(converted(), lambda given: {"y": 3 * given["x"]}, seed=0) > 0.3
    with pytest.raises(InputError, match="'x' has the open size"):
        parity.random_inputs(converted((None, None, 5, 3)), seed=0)


def test_whole_numbers_are_below_every_vocabulary():
    words, flag = keras.Input((50,), dtype="int32"), keras.Input((1,), dtype="bool")
    found = keras.layers.Embedding(7, 2)(words)
    model = keras.Model([words, flag], [found, keras.ops.logical_not(flag)])
    inputs = parity.random_inputs(Converted(model, {"w": (0, 1), "f": (0, 1)}, {}), seed=0)
    assert set(inputs["w"].ravel()) == set(range(7)) and inputs["f"].dtype == bool
    inputs = keras.Input((50,), dtype="int32")
    plain = Converted(keras.Model(inputs, inputs + 1), {"w": (0, 1)}, {})
    assert parity.random_inputs(plain, seed=0)["w"].max() == 9


def test_results_without_a_finite_number_are_refused():
    parity.check_finite({"y": np.array([np.nan, 1.0]), "z": np.zeros(0)}, "onnx")
    with pytest.raises(InputError, match="the output 'y' of onnx holds no finite number"):
        parity.check_finite({"y": np.array([np.nan, np.inf])}, "onnx")


def test_shapes_of_the_users_arrays():
    net = converted()
    parity.check_shapes(
        "input_npy", {"x": np.ones((2, 3, 4, 5))}, net.model.inputs, net.input_orders
    )
    for shape in ((2, 4, 5, 3), (3, 4, 5)):
        words = r"`input_npy`: 'x' must have the shape \(n, 3, 4, 5\), .* Received: \("
        with pytest.raises(InputError, match=words):
            parity.check_shapes(
                "input_npy", {"x": np.ones(shape)}, net.model.inputs, net.input_orders
            )


def test_outputs_are_found_by_name_or_place():
    one, two = np.ones(2), np.zeros(2)
    assert parity.worst({"a": one, "b": two}, {"b": two, "a": one}) == 0
    assert parity.worst({"a": one, "b": two}, {"c": one, "d": two}) == 0
    with pytest.raises(InputError, match="2 results are given; the network has 1 outputs"):
        parity.worst({"a": one}, {"a": one, "b": two})


def test_arrays_of_the_user(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(2))
    np.save(tmp_path / "b.npy", np.zeros(2))
    np.savez(tmp_path / "both.npz", y=np.zeros(2), x=np.ones(2))
    for text in (f"{tmp_path}/a.npy, {tmp_path}/b.npy", f"{tmp_path}/both.npz"):
        found = parity.read_arrays("input_npy", text, ["x", "y"])
        assert list(found) == ["x", "y"] and found["x"].sum() == 2 and found["y"].sum() == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file"),
        (b"nothing", "no .npy file that can be read"),
        ("pickle", "no .npy file that can be read"),
        (np.ones(2), "gives 1 arrays; the network has 2: x, y"),
        (np.array(["a"]), "gives 1 arrays"),
    ],
)
def test_what_cannot_be_used(tmp_path, content, words):
    path = tmp_path / "a.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        array = np.array([{}], object) if isinstance(content, str) else content
        np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError, match=words):
        parity.read_arrays("input_npy", str(path), ["x", "y"])

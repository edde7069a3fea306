import keras
import numpy as np
import pytest
from keras import layers

from tests.utils.legacy_keras.old_files import functional, image_input, layer
from utils.errors import InputError
from utils.legacy_keras.network import Building

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def built(description, **options):
    building = Building(is_keras_2=True, **options)
    return building, building.model(description)


def test_layers_stand_in_any_order_and_names_lose_their_slashes():
    building, model = built(
        functional(
            layer("Add", "sum", "a/b", "a_b"),
            layer("ReLU", "a_b", "a/b"),
            layer("ReLU", "a/b", "input_1", max_value=1.0),
            image_input(3),
            outputs=["sum"],
        )
    )
    np.testing.assert_allclose(model(X), 2 * np.clip(X, 0, 1), rtol=1e-6)
    assert building.names == {"a/b": "a_b_1"}
    assert {la.name for la in model.layers} == {"input_1", "a_b", "a_b_1", "sum"}


def test_operators_and_constants():
    scaled = layer("TFOpLambda", "scaled", function="math.truediv")
    scaled["inbound_nodes"] = [["input_1", 0, 0, {"y": 2.0, "name": None}]]
    rest = layer("TFOpLambda", "rest", function="math.subtract")
    rest["inbound_nodes"] = [["_CONSTANT_VALUE", -1, 1.0, {"y": ["scaled", 0, 0]}]]
    _, model = built(functional(image_input(3), scaled, rest, outputs=["rest"]))
    np.testing.assert_allclose(model(X), 1 - X / 2, rtol=1e-6)


def test_states_of_recurrent_layers():
    """A list of tensors means the input and the first state, a keyword too."""
    cell = {"units": 2, "return_state": True, "return_sequences": True, "activation": "tanh"}
    first = layer("SimpleRNN", "first", "input_1", **cell)
    by_list = layer("SimpleRNN", "by_list", **cell)
    by_list["inbound_nodes"] = [[["first", 0, 0, {}], ["first", 0, 1, {}]]]
    named = layer("SimpleRNN", "named", **{**cell, "return_state": False})
    named["inbound_nodes"] = [[["by_list", 0, 0, {"initial_state": [["by_list", 0, 1]]}]]]
    _, model = built(functional(image_input(4, 3), first, by_list, named, outputs=["named"]))
    inputs = keras.Input((4, 3))
    make = lambda **k: layers.SimpleRNN(2, return_sequences=True, **k)  # noqa: E731
    y, state = make(return_state=True)(inputs)
    y, state = make(return_state=True)(y, initial_state=state)
    expected = keras.Model(inputs, make()(y, initial_state=state))
    expected.set_weights(model.get_weights())
    x = np.random.default_rng(1).normal(size=(2, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(model(x), expected(x), rtol=1e-6)


def test_a_lone_hard_sigmoid_is_that_of_keras_2():
    description = functional(
        image_input(3), layer("Activation", "h", "input_1", activation="hard_sigmoid"),
        outputs=["h"],
    )  # fmt: skip
    building, model = built(description)
    np.testing.assert_allclose(model(X), np.clip(0.2 * X + 0.5, 0, 1), rtol=1e-6)
    assert building.scaled == [model.get_layer("h")]
    today = Building(is_keras_2=False).model(description)
    np.testing.assert_allclose(today(X), np.clip(X / 6 + 0.5, 0, 1), rtol=1e-6)


def test_dictionaries_of_inputs_and_outputs():
    description = functional(
        image_input(3, name="left"),
        image_input(3, name="right"),
        layer("Add", "sum", "left", "right"),
        inputs=("left", "right"),
        outputs=["sum"],
    )
    description["config"]["input_layers"] = {"l": ["left", 0, 0], "r": ["right", 0, 0]}
    description["config"]["output_layers"] = {"s": ["sum", 0, 0]}
    _, model = built(description)
    np.testing.assert_allclose(model({"l": X, "r": X})["s"], 2 * X)


def test_what_the_first_layer_takes():
    for first in (
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 3], "name": "in"}},
        {"class_name": "Dense", "config": {"units": 3, "batch_input_shape": [None, 3],
                                           "dtype": {"class_name": "Policy",
                                                     "config": {"name": "mixed_float16"}}}},
    ):  # fmt: skip
        last = {"class_name": "Dense", "config": {"name": "d", "units": 2}}
        _, model = built({"class_name": "Sequential", "config": [first, last]})
        assert model.input_shape == (None, 3) and model.output_shape == (None, 2)
        assert model.inputs[0].dtype == "float32"
    config = {"layers": [{"class_name": "Dense", "config": {"units": 2}}]}
    config["build_input_shape"] = [None, 5]
    _, model = built({"class_name": "Sequential", "config": config})
    assert model.input_shape == (None, 5)


def test_a_frozen_network_stays_frozen():
    description = functional(image_input(3), layer("Dense", "d", "input_1", units=2), outputs=["d"])
    description["config"]["trainable"] = False
    assert not built(description)[1].trainable_weights


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"class_name": "Sequential", "config": ["Dense"]}, r"not described by class_name and con"),
        (functional(image_input(3), outputs=["input_2"]), r"layer 'old_net' cannot be called"),
        (
            functional(image_input(3), layer("Dense", "d", units=2), outputs=["d"]),
            r"an output of the network is no layer's",
        ),
        (functional(image_input("x"), outputs=["input_1"]), r"\[None, 'x'\] is no shape of an in"),
        (
            functional(layer("InputLayer", "i", batch_input_shape=[None, 2], ragged=True),
                       outputs=["i"], inputs=["i"]),
            r"layer 'i': ragged inputs are not read",
        ),
        (functional(layer("InputLayer", "i"), outputs=["i"]), r"the input 'i' has no shape"),
        (
            functional(image_input(3), layer("Conv2D", "c", "input_1", filters=2, kernel_size=3),
                       outputs=["c"]),
            r"layer 'c' cannot be called as the file says \(ValueError: ",
        ),
    ],
)  # fmt: skip
def test_refusals(description, message):
    with pytest.raises(InputError, match=message):
        built(description)
